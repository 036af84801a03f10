import type { AgentHost } from '../agent-host.ts';
import { ourDumps, type OurRun } from './our-runs.ts';
import { runRounds, type Contender, type Result, type Sample } from './rounds.ts';
import type { Stage } from './stage.ts';
import { dumpTools, type StockTool } from './stock-tools.ts';

/** What `backup --json` prints of what is looked at here. */
export interface Made {
  name: string;
  bytes: number;
  rawBytes: number;
  compressor: string;
}

/** Dumps of one database into a directory. */
export async function benchDumps(
  stage: Stage,
  database: string,
  rounds: number,
  say: (line: string) => void,
): Promise<Result[]> {
  const contenders = [
    ...withTools(stage, dumpTools, say, async (tool) => stage.stock(tool, { DATABASE: database })),
    ...ourDumps.map((ours) => ourDump(stage, stage.host(hostOptions(database, ours)), ours)),
  ];
  return runRounds(contenders, rounds, say);
}

export function hostOptions(database: string, { level = 4, jobs }: Pick<OurRun, 'level' | 'jobs'>) {
  return { database, dump: { compressionLevel: level, jobs } };
}

/** The stock tools that this machine has; what is missing is told. */
export function withTools(
  stage: Stage,
  tools: readonly StockTool[],
  say: (line: string) => void,
  run: (tool: StockTool) => Promise<Sample>,
): Contender[] {
  return tools.flatMap((tool) => {
    const missing = stage.missing(tool.needs);
    if (missing.length > 0) say(`  left out, since ${missing.join(', ')} is not installed: ${tool.name}`);
    return missing.length > 0 ? [] : [{ name: tool.name, run: async () => run(tool) }];
  });
}

function ourDump(stage: Stage, host: AgentHost, { name, byZlib = false }: OurRun): Contender {
  return {
    name,
    run: async () => {
      const { measured, said } = await stage.agent(host, ['backup'], { byZlib });
      const made = said as Made;
      assertCompressor(made, byZlib);
      host.clearBackups();
      return { ...measured, bytes: made.bytes };
    },
  };
}

/** A figure under a wrong name is worse than none. */
function assertCompressor({ compressor }: Made, byZlib: boolean): void {
  const expected = byZlib ? 'zlib' : 'libdeflate';
  if (compressor !== expected) throw new Error(`the dump was compressed by ${compressor}, and not by ${expected}`);
}
