import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startPostgres, startS3, type PostgresCluster, type S3Server } from '@strideiq/testkit';
import { AgentHost, type HostOptions, type RunningAgent } from './agent-host.ts';

/** With everything that a URL, a shell, a connection string and a password file treat as their own. */
const password = String.raw`p@ss/w:o r%d'"\$(x)&?#ü`;
const mappingPassword = 'the other server’s own';

let cluster: PostgresCluster;
let s3: S3Server;
beforeAll(async () => {
  [cluster, s3] = await Promise.all([startPostgres({ authentication: 'scram', superPassword: password }), startS3()]);
  await cluster.createDatabase('app');
  await cluster.query(
    'app',
    `CREATE TABLE runner (id int); INSERT INTO runner SELECT generate_series(1, 200000);
     CREATE FOREIGN DATA WRAPPER far; CREATE SERVER "other; server" FOREIGN DATA WRAPPER far;
     CREATE USER MAPPING FOR postgres SERVER "other; server" OPTIONS (user 'somebody', password '${mappingPassword}')`,
  );
});
afterAll(async () => {
  await Promise.all([cluster.stop(), s3.stop()]);
});

/** A secret in every form in which it may slip out. */
function formsOf(secret: string): string[] {
  const json = JSON.stringify(secret).slice(1, -1);
  const base64 = Buffer.from(secret).toString('base64').replaceAll('=', '');
  return [
    ...new Set([secret, encodeURIComponent(secret), encodeURI(secret), json, base64, secret.replaceAll("'", "''")]),
  ];
}

/** Command lines of a process and of all that it started, for as long as it runs. */
async function commandLinesOf({ process: agent, result }: RunningAgent): Promise<Set<string>> {
  const seen = new Set<string>();
  let running = true;
  void result.finally(() => (running = false));
  while (running) {
    for (const pid of descendantsOf(agent.pid ?? 0)) {
      const line = readSafely(`/proc/${pid}/cmdline`).replaceAll('\0', ' ');
      if (line !== '') seen.add(line);
    }
    await delay(1);
  }
  return seen;
}

function descendantsOf(pid: number): number[] {
  const children = readdirSafely(`/proc/${pid}/task`).flatMap((task) =>
    readSafely(`/proc/${pid}/task/${task}/children`).split(' ').filter(Boolean).map(Number),
  );
  return [pid, ...children.flatMap(descendantsOf)];
}

function readSafely(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function readdirSafely(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Everything below a directory, files with their content as latin1, gzipped ones unpacked. */
function contentsOf(directory: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const bytes = readFileSync(path);
    found.set(path, (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1'));
  }
  return found;
}

/** Where any of the secrets stands, in any of its forms. */
function leaksIn(texts: Iterable<[string, string]>, secrets: readonly string[]): string[] {
  const forms = secrets.flatMap(formsOf).flatMap((form) => [form, Buffer.from(form).toString('latin1')]);
  return [...texts].flatMap(([where, text]) =>
    forms.filter((form) => text.includes(form)).map((form) => `${where} holds ${form}`),
  );
}

const sources: { source: string; options: () => Partial<HostOptions> }[] = [
  { source: 'a file', options: () => ({}) },
  {
    source: 'PGPASSWORD',
    options: () => ({ connection: { passwordFile: undefined }, env: { PGPASSWORD: password } }),
  },
  { source: 'a URL in a file', options: () => ({ url: cluster.url('app') }) },
];

describe.each(sources)('where the password comes from $source', ({ source, options }) => {
  let host: AgentHost;
  /** What was printed, and the command lines that anybody on the host could see meanwhile. */
  const said = new Map<string, string>();
  const codes: (number | undefined)[] = [];
  beforeAll(async () => {
    const bucket = source.toLowerCase().replaceAll(' ', '-');
    await s3.createBucket(bucket);
    host = new AgentHost({
      cluster,
      database: 'app',
      s3: { server: s3, endpoint: s3.endpoint, bucket },
      dump: { pgDump: cluster.clientDir },
      ...options(),
    });
    const commands = [
      ['backup'],
      ['verify', 'latest', '--json'],
      ['show', 'latest', '--json'],
      ['restore', 'latest', '--into', `from_${bucket}`],
      ['doctor', '--json'],
      ['restore', 'latest', '--into', `from_${bucket}`, '--json'],
    ];
    for (const args of commands) {
      const running = host.start(...args);
      const [{ code, stdout, stderr }, lines] = await Promise.all([running.result, commandLinesOf(running)]);
      codes.push(code);
      said.set(`what ${args.join(' ')} printed`, `${stdout}\n${stderr}`);
      said.set(`the command lines of ${args.join(' ')}`, [...lines].join('\n'));
    }
  });
  afterAll(() => {
    host.remove();
  });

  it('all that was asked was done, and the last was refused', () => {
    expect(codes).toEqual([0, 0, 0, 0, 0, 1]);
    const lines = said.get('the command lines of backup') ?? '';
    expect(lines).toMatch(/pg_dump --host/);
    expect(lines).toMatch(/pg_dumpall --host/);
  });

  it('no secret was printed or could be seen in the process list', () => {
    expect(leaksIn(said, [password, s3.secretKey, mappingPassword])).toEqual([]);
  });

  it('no secret stands in the journal, and none of ours beside the backup', () => {
    expect(leaksIn(contentsOf(host.stateDirectory), [password, s3.secretKey, mappingPassword])).toEqual([]);
    const stored = [...contentsOf(host.backupDirectory)];
    expect(leaksIn(stored, [password, s3.secretKey])).toEqual([]);
    const isDump = ([path]: [string, string]): boolean => /(\d|LATEST)\.sql\.gz$/.test(path);
    expect(leaksIn(stored.filter(isDump), [mappingPassword])).toHaveLength(2);
    expect(
      leaksIn(
        stored.filter((each) => !isDump(each)),
        [mappingPassword],
      ),
    ).toEqual([]);
  });

  it('a password that is in the dump itself is told of by name', () => {
    const name = String.raw`user mapping for postgres on server \"other; server\"`;
    expect(said.get('what show latest --json printed')).toContain(name);
    expect(said.get('what doctor --json printed')).toContain(name);
  });

  it('everything that was made is for its owner alone', () => {
    for (const directory of [host.stateDirectory, host.backupDirectory]) {
      expect([directory, (statSync(directory).mode & 0o777).toString(8)]).toEqual([directory, '700']);
      for (const path of contentsOf(directory).keys()) {
        expect([path, (statSync(path).mode & 0o777).toString(8)]).toEqual([path, '600']);
      }
    }
  });
});
