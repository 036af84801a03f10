import { join } from 'node:path';
import type { AgentHost } from '../agent-host.ts';
import { hostOptions, withTools, type Made } from './dump-suite.ts';
import { ourRestores, type OurRun } from './our-runs.ts';
import { runRounds, type Contender, type Result } from './rounds.ts';
import type { Stage } from './stage.ts';
import { restoreTools } from './stock-tools.ts';

const into = 'bench_restored';

/** Restores of one dump into a new database: our own `.sql.gz`, also by gunzip and psql; pg_restore has its own format. */
export async function benchRestores(
  stage: Stage,
  database: string,
  rounds: number,
  say: (line: string) => void,
): Promise<Result[]> {
  const host = stage.host(hostOptions(database, { jobs: 2 }));
  const { said } = await stage.agent(host, ['backup']);
  const FD = join(stage.directory, 'directory-format');
  await stage.cluster.runClient('pg_dump', ['-Fd', '-j2', '-f', FD, database]);
  const variables = { GZ: host.path((said as Made).name), FD, INTO: into };
  const contenders = [
    ...withTools(stage, restoreTools, say, async (tool) => {
      const { bytes: _, ...sample } = await stage.stock(tool, variables);
      return sample;
    }),
    ...ourRestores.flatMap((ours) => ourRestore(stage, host, ours, say)),
  ];
  return runRounds(
    contenders.map((contender) => onCleanGround(stage, contender)),
    rounds,
    say,
  );
}

function onCleanGround(stage: Stage, { name, run }: Contender): Contender {
  return {
    name,
    run: async () => {
      await stage.cluster.dropDatabase(into);
      try {
        return await run();
      } finally {
        await stage.cluster.dropDatabase(into);
      }
    },
  };
}

function ourRestore(stage: Stage, host: AgentHost, ours: OurRun, say: (line: string) => void): Contender[] {
  const { jobs, lz4 } = stage.abilities;
  if ((ours.jobs > 1 && !jobs) || (ours.lz4 && !lz4)) {
    say(`  left out, since this version of the agent cannot: ${ours.name}`);
    return [];
  }
  const args = [
    'restore',
    'latest',
    '--into',
    into,
    ...(jobs ? ['--jobs', String(ours.jobs)] : []),
    ...(ours.lz4 ? ['--toast-compression', 'lz4'] : []),
    ...(ours.withoutAnalyze ? ['--no-analyze'] : []),
  ];
  return [{ name: ours.name, run: async () => (await stage.agent(host, args)).measured }];
}
