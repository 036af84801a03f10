import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const repository = join(import.meta.dirname, '..');
const programs = { agent: 'strideiq-agent', cli: 'strideiq', 'control-plane': 'strideiq-control-plane' };
const folderVariable = 'STRIDEIQ_E2E_BUNDLES';

/** A program as it ships, in a bundle, while tests run; elsewhere as it stands in the repository. */
export function programFile(app: keyof typeof programs): string {
  const bundles = process.env[folderVariable];
  if (bundles === undefined && process.env['VITEST'] !== undefined)
    throw new Error('tests run the bundles, of which none were made');
  const folder = bundles === undefined ? join(repository, 'apps', app, 'bin') : join(bundles, app);
  return join(folder, `${programs[app]}.js`);
}

/** Makes the bundles, before any test. */
export async function setup(): Promise<void> {
  const bundles = mkdtempSync(join(tmpdir(), 'strideiq-bundles-'));
  for (const app of Object.keys(programs)) {
    await run(process.execPath, ['tools/bundle.mjs', app, join(bundles, app)], { cwd: repository });
  }
  process.env[folderVariable] = bundles;
}

export function teardown(): void {
  const bundles = process.env[folderVariable];
  if (bundles !== undefined) rmSync(bundles, { recursive: true, force: true });
}
