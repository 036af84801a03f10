import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { benchDumps } from './dump-suite.ts';
import { benchGrowth, type Grown } from './growth-suite.ts';
import { benchOneTable } from './one-table.ts';
import { withSections, type Section } from './report.ts';
import { benchRestores } from './restore-suite.ts';
import { benchUploads, toDirectory } from './s3-suite.ts';
import { Stage } from './stage.ts';
import { gzip6, gzip6Upload, psql } from './stock-tools.ts';
import { level4 } from './our-runs.ts';
import { describeSurroundings } from './surroundings.ts';
import { growthTable, oneTableText, resultTable, targetTable } from './tables.ts';
import type { Findings } from './targets.ts';

const usage = `npm run bench -- [--quick] [--scale MB] [--rounds N] [--only dump|restore|s3|growth] [--growth] [--json]

Measures dumps, restores and uploads of the sample database by us and by stock tools, one after another, in rounds, and
writes docs/benchmarks.md. A full run takes about an hour on two cores, and 15 GB of the temporary directory.

  --quick      a small database and one round, in under two minutes; writes nothing
  --scale MB   size of the database as SQL (2000)
  --rounds N   how often each contender runs (3)
  --only WHAT  dump, restore, s3 or growth alone (may be repeated); other sections of the file stay as they are
  --growth     also databases of 250 MB to 4 GB, one round of each
  --json       print all figures as one JSON document instead of tables; writes nothing`;

const file = join(import.meta.dirname, '../../docs/benchmarks.md');
const suites = ['dump', 'restore', 's3', 'growth'] as const;
const growthMb = { full: [250, 500, 1000, 2000, 4000], quick: [10, 40] };
const database = 'running_app';

const say = (line: string): void => void process.stderr.write(`${line}\n`);

interface Options {
  quick: boolean;
  scaleMb: number;
  rounds: number;
  only: Set<Section>;
  json: boolean;
}

class UsageError extends Error {}

function optionsFrom(args: string[]): Options | undefined {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      scale: { type: 'string' },
      rounds: { type: 'string' },
      only: { type: 'string', multiple: true },
      growth: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const number = (name: 'scale' | 'rounds', otherwise: number): number => {
    const value = values[name] === undefined ? otherwise : Number(values[name]);
    if (!Number.isInteger(value) || value < 1) throw new UsageError(`--${name} ${values[name]}: a whole number from 1`);
    return value;
  };
  const asked = values.only ?? ['dump', 'restore', 's3'];
  const only = new Set(suites.filter((suite) => asked.includes(suite)));
  const unknown = asked.find((suite) => !suites.some((each) => each === suite));
  if (unknown !== undefined) throw new UsageError(`--only ${unknown}: one of ${suites.join(', ')}`);
  if (values.growth) only.add('growth');
  const { quick, json } = values;
  return { quick, json, only, scaleMb: number('scale', quick ? 40 : 2000), rounds: number('rounds', quick ? 1 : 3) };
}

interface Found {
  findings: Findings;
  grown?: Grown[];
}

/** Every suite that was asked for, one after another; each is handed out before the next, which may fail, begins. */
async function* bench(stage: Stage, options: Options): AsyncGenerator<Found> {
  const { only, scaleMb, rounds, quick } = options;
  if (only.has('dump') || only.has('restore') || only.has('s3')) {
    say(`Making a database of ${scaleMb} MB of SQL`);
    await stage.createSample(database, scaleMb);
  }
  if (only.has('dump')) {
    say('Dumps');
    yield { findings: { dump: await benchDumps(stage, database, rounds, say) } };
  }
  if (only.has('restore')) {
    say('Restores');
    yield { findings: { restore: await benchRestores(stage, database, rounds, say) } };
  }
  if (only.has('s3')) {
    say('S3');
    const s3 = await benchUploads(stage, database, rounds, say);
    const oneTable = await benchOneTable(stage, database, scaleMb, say);
    yield { findings: { s3, ...(oneTable ? { oneTable } : {}) } };
  }
  if (!only.has('growth')) return;
  say('Growth: dump by us and by gzip -6, restore by us and by psql');
  yield { findings: {}, grown: await benchGrowth(stage, quick ? growthMb.quick : growthMb.full, say) };
}

function sectionsOf({ findings, grown }: Found, where: string, options: Options): Map<Section, string> {
  const { dump, restore, s3, oneTable } = findings;
  const { scaleMb, rounds, quick } = options;
  const sections = new Map<Section, string>();
  const what = `${scaleMb} MB of SQL, ${rounds === 1 ? 'one round' : `${rounds} rounds`}.`;
  const add = (section: Section, ...parts: string[]) =>
    sections.set(section, [`${where} ${section === 'growth' ? 'One round.' : what}`, ...parts].join('\n\n'));
  // So small a database is dumped in the time that programs take to start: no target is judged by it.
  const targets = (suite: 'dump' | 'restore' | 's3') => (quick ? [] : [targetTable(suite, findings)]);
  if (dump) add('dump', ...targets('dump'), resultTable(dump, gzip6));
  if (restore) add('restore', ...targets('restore'), resultTable(restore, psql));
  if (s3) {
    const baseline = s3.some(({ name }) => name === gzip6Upload) ? gzip6Upload : toDirectory(level4);
    add('s3', ...targets('s3'), resultTable(s3, baseline), ...(oneTable ? [oneTableText(oneTable)] : []));
  }
  if (grown) add('growth', growthTable(grown));
  return sections;
}

async function main(options: Options): Promise<void> {
  await stage.setUp();
  const where = await describeSurroundings(stage);
  const all: Found = { findings: {} };
  for await (const found of bench(stage, options)) {
    Object.assign(all, found, { findings: { ...all.findings, ...found.findings } });
    if (!options.json) tell(sectionsOf(found, where, options), options);
  }
  if (!options.json) return;
  process.stdout.write(`${JSON.stringify({ where, options: { ...options, only: [...options.only] }, ...all })}\n`);
}

function tell(sections: Map<Section, string>, { quick }: Options): void {
  process.stdout.write(`${[...sections.values()].join('\n\n')}\n`);
  if (quick) return;
  writeFileSync(file, withSections(existsSync(file) ? readFileSync(file, 'utf8') : '', sections));
  say(`Written to ${file}`);
}

const stage = new Stage();

/** Everything that was started is ended once, whichever way the program leaves. */
let leaving: Promise<void> | undefined;
async function leave(exitCode: number): Promise<never> {
  await (leaving ??= stage.end());
  process.exit(exitCode);
}

for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => void leave(130));
try {
  const options = optionsFrom(process.argv.slice(2));
  if (options) await main(options);
  else process.stdout.write(`${usage}\n`);
  await leave(0);
} catch (error) {
  // What is cut short by Ctrl-C fails too; that is no news.
  if (leaving) await leave(130);
  const isUsage =
    error instanceof UsageError ||
    (error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS'));
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(isUsage ? `${message}\n\n${usage}\n` : `\nThe bench did not come to its end: ${message}\n`);
  await leave(isUsage ? 2 : 1);
}
