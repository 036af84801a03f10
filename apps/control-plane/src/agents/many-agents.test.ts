import { newId } from '@strideiq/core';
import { waitFor } from '@strideiq/testkit';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'vite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { migrationsFolder } from '../catalog/open-catalog.ts';
import type { Asked, Started, State } from '../testing/gateway-process.ts';
import { TestHost, type TestLink } from '../testing/host.ts';
import { madeBackup, runBody } from '../testing/reports.ts';

const count = 200;
const mostBytes = 300 * 1024 ** 2;

/** Below the room, so that what is native is found; nothing there is committed. */
const built = join(import.meta.dirname, '../../.tsbuild');

let directory: string;
let child: ChildProcess;
let hosts: TestHost[];
beforeEach(async () => {
  mkdirSync(built, { recursive: true });
  directory = mkdtempSync(join(built, 'many-agents-'));
  const program = await bundleProgram();
  child = fork(program, [String(count)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv: launchFlags() });
  const [{ url, agents }] = (await once(child, 'message')) as [Started];
  // It is asked for nothing but the address and the time: the hosts are enrolled already.
  const gateway = { url, now: () => Date.now(), enrolment: undefined as never };
  hosts = agents.map(({ agentId, credential }, at) => {
    const host = new TestHost(gateway, 'production', `db${at}`).looksAfter(`app-${at}`).looksAfter(`more-${at}`);
    return Object.assign(host, { agentId, credential });
  });
});
afterEach(async () => {
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
  rmSync(directory, { recursive: true, force: true });
});

/** What the program is started with. */
function launchFlags(): string[] {
  const launcher = readFileSync(join(import.meta.dirname, '../../bin/strideiq-control-plane.js'), 'utf8');
  return /^#!\/usr\/bin\/env -S node (.+)$/m.exec(launcher)?.[1]?.split(' ') ?? [];
}

/**
 * In one file, as the program ships (`tools/bundle.mjs`): from the sources, Node's loader alone takes 250 MB for the
 * package.json of drizzle-orm, which it reads anew for each of its modules.
 */
async function bundleProgram(): Promise<string> {
  await build({
    configFile: false,
    envDir: false,
    publicDir: false,
    root: join(import.meta.dirname, '..'),
    logLevel: 'warn',
    ssr: { target: 'node', noExternal: true, external: ['better-sqlite3'] },
    build: {
      ssr: 'testing/gateway-process.ts',
      outDir: directory,
      emptyOutDir: false,
      target: 'node24',
      minify: false,
      rolldownOptions: { output: { entryFileNames: 'program.js', codeSplitting: false } },
    },
  });
  // Where `import.meta.dirname` looks for them.
  cpSync(migrationsFolder, join(directory, 'migrations'), { recursive: true });
  return join(directory, 'program.js');
}

async function ask(asked: Asked): Promise<State> {
  const answer = once(child, 'message');
  child.send(asked);
  const [state] = (await answer) as [State];
  return state;
}

/** What an agent does with a new connection: it says hello, sends what it has to tell, and takes commands. */
async function workOn(host: TestHost, runId: string): Promise<TestLink> {
  const link = await host.connect();
  const lines = Array.from({ length: 20 }, (_, at) => ({
    at: new Date().toISOString(),
    level: 'info' as const,
    text: `line ${at} of ${host.hostname}`,
  }));
  await link.send(
    host.report('run', runBody(host, runId, 'running')),
    host.report('log', { runId, lines }),
    host.report('run', runBody(host, newId(Date.now()), 'succeeded', { backup: madeBackup(host) })),
  );
  await link.api.settled.mutate({ openRunIds: [runId], openCommandIds: [] });
  const facts = { databaseId: host.databaseId(), reachable: true, serverVersion: '15.14', sizeBytes: 1e9 };
  const stores = [{ storeId: host.storeId(), freeBytes: 1e12 }];
  await link.api.heartbeat.mutate({ sentAt: new Date().toISOString(), databases: [facts], stores });
  await link.api.progress.mutate({ runs: [{ runId, phase: 'dumping', fraction: 0.5, rows: 1e6 }] });
  return link;
}

test('200 agents at once stay below 300 MB, and come back all at once within 30 s, again and again', async () => {
  const runIds = hosts.map(() => newId(Date.now()));
  const work = async () => await Promise.all(hosts.map(async (host, at) => await workOn(host, runIds[at] ?? '')));
  let links = await work();
  for (let time = 1; time <= 4; time++) {
    const state = await ask('state');
    expect(state).toMatchObject({ connected: count, reports: count * 3 * time, errors: [] });
    expect(state.rssBytes).toBeLessThan(mostBytes);
    // None of them waits its turn, as they would by their jitter: the worst there is.
    await ask('drop');
    await Promise.all(links.map(async ({ closed }) => await closed));
    const coming = work().then((all) => (links = all));
    let settled = false;
    void coming.then(() => (settled = true));
    await waitFor('all of them to have settled', () => settled, { timeoutMs: 30_000 });
    await coming;
  }
  await Promise.all(links.map(async (link) => await link.close()));
});
