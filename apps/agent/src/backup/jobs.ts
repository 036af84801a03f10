/** What a host has, and how busy it is. */
export interface HostLoad {
  cores: number;
  /** Processes that ran or wanted to, on average of the last minute. */
  load: number;
}

const mostJobs = 8;

/**
 * How many connections read rows at once: two, half the cores where there are more than four, and one less for each
 * core beyond half of them that others keep busy. With one core there is nothing to share.
 */
export function automaticJobs({ cores, load }: HostLoad): number {
  const wanted = Math.min(cores, mostJobs, Math.max(2, Math.floor(cores / 2)));
  const busy = Math.max(0, Math.floor(load - cores / 2));
  return Math.max(1, wanted - busy);
}
