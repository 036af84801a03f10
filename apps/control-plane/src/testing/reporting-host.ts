import { newId } from '@strideiq/core';
import type { Report, ReportBodies, ReportedBackup } from '@strideiq/protocol';
import { eq } from 'drizzle-orm';
import { commands, copies, runs } from '../catalog/schema.ts';
import { startGateway } from './gateway.ts';
import { bucketStore, TestHost } from './host.ts';
import { madeBackup, runBody } from './reports.ts';

type RunBody = ReportBodies['run'];

/** A gateway and one connected host, with a disk and a bucket to back up to, and what tests of its reports ask again and again. */
export async function startReporting() {
  const gateway = await startGateway();
  const host = new TestHost(gateway, 'production', 'db1').looksAfter('app').enrol();
  host.databases[0]?.stores.push(bucketStore('app/'));
  const link = await host.connect();
  const { catalog } = gateway;
  const newRun = () => newId(gateway.now());
  const says = (runId: string, state: RunBody['state'], more?: Partial<RunBody>) =>
    host.report('run', runBody(host, runId, state, more));
  return {
    gateway,
    host,
    link,
    newRun,
    says,
    /** Of each: how it was answered, or why it was rejected. */
    answersTo: async (...batch: Report[]) => {
      const { answers } = await link.send(...batch);
      return answers.map(({ answer, code }) => code ?? answer);
    },
    runRow: (id: string) => catalog.select().from(runs).where(eq(runs.id, id)).get(),
    copyRows: () => catalog.select().from(copies).all(),
    /** Asks for a backup. @returns its run */
    ask: async () => (await gateway.work.requestBackup({ databaseId: host.databaseId() }, { keyId: 'key-1' })).runId,
    commandOf: (runId: string) => catalog.select().from(commands).where(eq(commands.runId, runId)).get(),
    /** A backup that has succeeded, as two reports. */
    backupReports: (runId: string, backup: ReportedBackup = madeBackup(host)): Report[] => [
      says(runId, 'running'),
      says(runId, 'succeeded', { finishedAt: '2026-11-24T08:00:00.000Z', backup, warnings: ['slow'] }),
    ],
  };
}

export type Reporting = Awaited<ReturnType<typeof startReporting>>;
