import { hostOptions, type Made } from './dump-suite.ts';
import type { Stage } from './stage.ts';
import { dumpTools, gzip6, psql, restoreTools } from './stock-tools.ts';

/** One size of database. */
export interface Grown {
  scaleMb: number;
  rawBytes: number;
  bytes: number;
  dump: { wallMs: number; stockMs: number; peakBytes?: number };
  restore: { wallMs: number; stockMs: number; peakBytes?: number };
}

const into = 'bench_restored';

/** Dump and restore by us and by stock tools, once each, of databases of several sizes. */
export async function benchGrowth(
  stage: Stage,
  scalesMb: readonly number[],
  say: (line: string) => void,
): Promise<Grown[]> {
  const grown: Grown[] = [];
  for (const scaleMb of scalesMb) {
    const database = `bench_${scaleMb}`;
    await stage.createSample(database, scaleMb);
    const one = await benchSize(stage, database, scaleMb);
    await stage.cluster.dropDatabase(database);
    grown.push(one);
    const seconds = [one.dump.wallMs, one.dump.stockMs, one.restore.wallMs, one.restore.stockMs];
    say(`  ${scaleMb} MB: ${seconds.map((ms) => (ms / 1000).toFixed(1)).join(', ')} s`);
  }
  return grown;
}

async function benchSize(stage: Stage, database: string, scaleMb: number): Promise<Grown> {
  const host = stage.host(hostOptions(database, { jobs: 2 }));
  const stock = async (tools: typeof dumpTools, name: string, variables: NodeJS.ProcessEnv) => {
    const tool = tools.find((each) => each.name === name);
    if (!tool) throw new Error(`no tool ${name}`);
    return stage.stock(tool, variables);
  };
  const stockDump = await stock(dumpTools, gzip6, { DATABASE: database });
  const dump = await stage.agent(host, ['backup']);
  const { name, bytes, rawBytes } = dump.said as Made;
  try {
    const stockRestore = await stock(restoreTools, psql, { GZ: host.path(name), INTO: into });
    await stage.cluster.dropDatabase(into);
    const jobs = stage.abilities.jobs ? ['--jobs', '2'] : [];
    const restore = await stage.agent(host, ['restore', 'latest', '--into', into, ...jobs]);
    return {
      scaleMb,
      rawBytes,
      bytes,
      dump: { ...dump.measured, stockMs: stockDump.wallMs },
      restore: { ...restore.measured, stockMs: stockRestore.wallMs },
    };
  } finally {
    await stage.cluster.dropDatabase(into);
    host.clearBackups();
  }
}
