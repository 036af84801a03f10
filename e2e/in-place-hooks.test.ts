import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { AgentHost } from './agent-host.ts';
import { InPlaceStage, inPlace, type Replaced } from './in-place-stage.ts';
import { databasesOf, journalOf } from './raw-state.ts';

/** The host's own commands around a restore in place, and what becomes of it where they fail. */

const stage = new InPlaceStage();

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strideiq-marks-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});
const marked = () => {
  const file = join(directory, 'marks');
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
};
/** Hooks that write down that they were run, and how, before they run their script. */
function hooked(scripts: Record<string, string>, more: Record<string, unknown> = {}): AgentHost {
  const mark = (name: string) => `echo ${name} $STRIDEIQ_TARGET $STRIDEIQ_OUTCOME >> '${join(directory, 'marks')}'`;
  const hooks = Object.entries(scripts).map(([name, script]) => [name, ['sh', '-c', `${mark(name)}; ${script}`]]);
  return stage.hostOf({ hooks: { ...Object.fromEntries(hooks), ...more } });
}

test('stop the application, start it, and are told what became of the database', async () => {
  const host = hooked({ beforeSwap: 'echo stopping', afterSwap: '', afterRestore: '' });
  await host.json('backup');
  const { runId } = await host.json<Replaced>(...inPlace);
  expect(marked()).toEqual([
    `afterRestore strideiq_restore_${runId.replaceAll('-', '')}`,
    'beforeSwap app',
    'afterSwap app replaced',
  ]);
  await host.json('restore', 'undo', '--yes');
  expect(marked().slice(3)).toEqual(['beforeSwap app', 'afterSwap app replaced']);
});

test('a beforeSwap that fails leaves the database as it is, and has the application started', async () => {
  const host = hooked({ beforeSwap: 'echo no such container; exit 1', afterSwap: '' });
  await host.json('backup');
  await stage.moveOn();
  const { code, stderr } = await host.run(...inPlace);
  expect([code, stderr]).toEqual([1, expect.stringMatching(/hooks\.beforeSwap ended with 1.*no such container/)]);
  expect(marked()).toEqual(['beforeSwap app', 'afterSwap app kept']);
  expect(await stage.generationOf('app')).toBe(2);
  expect(await databasesOf(stage.cluster)).not.toContainEqual(expect.stringMatching(/^strideiq_|_before_/));
});

test('an afterSwap that fails takes the restore back', async () => {
  const host = hooked({ afterSwap: '[ "$STRIDEIQ_OUTCOME" = kept ]' });
  await host.json('backup');
  await stage.moveOn();
  const { code, stderr } = await host.run(...inPlace);
  const [kept] = await stage.kept();
  expect([code, stderr]).toEqual([1, expect.stringMatching(/was taken back/)]);
  expect(stderr).toContain(`is kept as ${kept}`);
  expect(kept).toMatch(/^app_undone_/);
  expect(marked()).toEqual(['afterSwap app replaced', 'afterSwap app kept']);
  expect(await stage.generationOf('app')).toBe(2);
  expect(await stage.generationOf(kept ?? '')).toBe(1);
  expect(journalOf(host).at(-2)).toMatchObject({ kind: 'restore', state: 'failed', error_code: 'HookFailed' });
});

describe('a health check', () => {
  let server: Server;
  let url: string;
  /** Of a real application: it is well on the old data alone. */
  let isWell: (generation: number | undefined) => boolean;
  beforeAll(async () => {
    server = createServer((_, response) => {
      void stage.generationOf('app').then(
        (generation) => response.writeHead(isWell(generation) ? 200 : 503).end(),
        () => response.writeHead(500).end(),
      );
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/health`;
  });
  afterAll(() => {
    server.close().closeAllConnections();
  });

  test('that is answered ends the restore', async () => {
    isWell = (generation) => generation === 1;
    const host = hooked({}, { healthCheck: url, healthCheckLimit: '30s' });
    await host.json('backup');
    await stage.moveOn();
    await host.json(...inPlace);
    expect(await stage.generationOf('app')).toBe(1);
  });

  test('that is not takes it back', async () => {
    isWell = (generation) => generation === 2;
    const host = hooked({ afterSwap: '' }, { healthCheck: url, healthCheckLimit: '2s' });
    await host.json('backup');
    await stage.moveOn();
    const { code, stderr } = await host.run(...inPlace);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/taken back.*it answered 503/)]);
    expect(marked()).toEqual(['afterSwap app replaced', 'afterSwap app kept']);
    expect(await stage.generationOf('app')).toBe(2);
  });
});

test('afterRestore masks what nobody has seen yet, by SQL and by psql', async () => {
  const where = stage.hostOf();
  writeFileSync(where.path('mask.sql'), "UPDATE app.ledger SET note = 'masked'; SELECT 1;");
  const psql = [`${stage.cluster.clientDir}/psql`, '-X', '-c', 'UPDATE app.generation SET n = 77'];
  const host = stage.hostOf({ hooks: { afterRestoreSql: where.path('mask.sql'), afterRestore: psql } });
  await host.json('backup');
  await host.json('restore', 'latest', '--into', 'restored');
  const notes = await stage.cluster.query('restored', 'SELECT DISTINCT note FROM app.ledger');
  expect([notes, await stage.generationOf('restored'), await stage.generationOf('app')]).toEqual([
    [{ note: 'masked' }],
    77,
    1,
  ]);

  writeFileSync(where.path('mask.sql'), 'UPDATE app.nothing SET note = 1');
  const { code, stderr } = await host.run('restore', 'latest', '--into', 'app_unmasked');
  expect([code, stderr]).toEqual([1, expect.stringMatching(/afterRestoreSql .*"app\.nothing" does not exist/)]);
  expect(await databasesOf(stage.cluster)).not.toContain('app_unmasked');
});
