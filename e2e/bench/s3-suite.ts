import { DeleteObjectsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { S3Server } from '@strideiq/testkit';
import { hostOptions, withTools, type Made } from './dump-suite.ts';
import { level1, level4, ourDumps, type OurRun } from './our-runs.ts';
import { runRounds, type Contender, type Result } from './rounds.ts';
import { bucket, type Stage } from './stage.ts';
import { s3Tools } from './stock-tools.ts';

export const toDirectory = (name: string): string => `${name}, to a directory`;
export const toS3 = (name: string): string => `${name}, to S3`;

/** Dumps into a bucket of an S3 server on this machine, which takes its part of the processors. */
export async function benchUploads(
  stage: Stage,
  database: string,
  rounds: number,
  say: (line: string) => void,
): Promise<Result[]> {
  const server = await stage.s3();
  const variables = {
    DATABASE: database,
    BUCKET: bucket,
    AWS_ACCESS_KEY_ID: server.accessKey,
    AWS_SECRET_ACCESS_KEY: server.secretKey,
    AWS_ENDPOINT_URL: server.endpoint,
    AWS_DEFAULT_REGION: server.region,
    // The throw-away server knows no newer checksums.
    AWS_REQUEST_CHECKSUM_CALCULATION: 'when_required',
  };
  const ours = ourDumps.filter(({ name }) => name === level4 || name === level1);
  const contenders = [
    ...withTools(stage, s3Tools, say, async (tool) => stage.stock(tool, variables)),
    ...ours.flatMap((run) => [ourUpload(stage, database, run, server), ourUpload(stage, database, run)]),
  ];
  return runRounds(
    contenders.map((contender) => andEmpty(server, contender)),
    rounds,
    say,
  );
}

/** Without a server: to a directory, in the same rounds, to compare with. */
function ourUpload(stage: Stage, database: string, ours: OurRun, server?: S3Server): Contender {
  const s3 = server && { server, endpoint: server.endpoint, bucket };
  const store = s3 ? 's3' : 'local';
  const host = stage.host({ ...hostOptions(database, ours), stores: [store], ...(s3 ? { s3 } : {}) });
  return {
    name: s3 ? toS3(ours.name) : toDirectory(ours.name),
    run: async () => {
      const { measured, said } = await stage.agent(host, ['backup']);
      host.clearBackups();
      return { ...measured, bytes: (said as Made).bytes };
    },
  };
}

/** What the server holds, it holds in memory. */
function andEmpty(server: S3Server, { name, run }: Contender): Contender {
  return {
    name,
    run: async () => {
      try {
        return await run();
      } finally {
        await empty(server);
      }
    },
  };
}

export async function empty(server: S3Server): Promise<void> {
  const client = server.client();
  try {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
    const Objects = Contents.map(({ Key = '' }) => ({ Key }));
    if (Objects.length > 0) await client.send(new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects } }));
  } finally {
    client.destroy();
  }
}
