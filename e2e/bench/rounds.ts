import type { Measured } from './meter.ts';
import { median, ratio, rotated, spread } from './statistics.ts';

/** One who takes part, with whatever has to be made ready and tidied up around what is measured. */
export interface Contender {
  name: string;
  run(): Promise<Sample>;
}

/** What one round of one contender took. */
export interface Sample extends Measured {
  /** Of what it made. */
  bytes?: number;
}

/** Figures that a sample has. */
export type Figure = 'wallMs' | 'clientCpuMs' | 'serverCpuMs' | 'peakBytes' | 'bytes';

/** All rounds of one contender. */
export class Result {
  readonly name: string;
  readonly samples: Sample[] = [];

  constructor(name: string) {
    this.name = name;
  }

  /** Of each round. */
  values(figure: Figure): number[] {
    return this.samples.flatMap((sample) => sample[figure] ?? []);
  }

  median(figure: Figure): number | undefined {
    return median(this.values(figure));
  }

  spread(figure: Figure): number | undefined {
    return spread(this.values(figure));
  }

  /** CPU of client and server together. */
  get cpuMs(): number | undefined {
    return median(this.samples.flatMap((sample) => cpuOf(sample) ?? []));
  }

  wallRatio(baseline: Result | undefined): number | undefined {
    return ratio(this.values('wallMs'), baseline?.values('wallMs') ?? []);
  }

  cpuRatio(baseline: Result | undefined): number | undefined {
    return ratio(this.samples.map(cpuOf), baseline?.samples.map(cpuOf) ?? []);
  }

  bytesRatio(baseline: Result | undefined): number | undefined {
    return ratio(this.values('bytes'), baseline?.values('bytes') ?? []);
  }
}

function cpuOf({ clientCpuMs, serverCpuMs }: Sample): number | undefined {
  return clientCpuMs === undefined || serverCpuMs === undefined ? undefined : clientCpuMs + serverCpuMs;
}

/**
 * Every contender once in each round, one after another, so that what the machine does beside it meets all of them.
 * @param say gets a line after each
 */
export async function runRounds(
  contenders: readonly Contender[],
  rounds: number,
  say: (line: string) => void,
): Promise<Result[]> {
  const results = contenders.map(({ name }) => new Result(name));
  for (let round = 0; round < rounds; round++) {
    for (const contender of rotated(contenders, round)) {
      const sample = await contender.run();
      results.find(({ name }) => name === contender.name)?.samples.push(sample);
      const seconds = (sample.wallMs / 1000).toFixed(1);
      say(`  round ${round + 1} of ${rounds}  ${seconds.padStart(7)} s  ${contender.name}`);
    }
  }
  return results;
}
