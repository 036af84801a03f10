import { CodedError, paragraphOf } from '@strideiq/core';
import type { Host } from '../compose.ts';
import type { ServerLook } from '../discovery/discovery.ts';
import type { Finding } from './examine.ts';

/** Asks each server whose databases are found by themselves; says which are looked after, which are not, and why. */
export async function examineServers(host: Host): Promise<Finding[]> {
  const looks = await host.discovery.look();
  return [...looks.flatMap(findingsOf), ...goneOnes(host)];
}

function findingsOf({ entry, seen, error }: ServerLook): Finding[] {
  const subject = `${entry}: databases`;
  if (!seen) {
    const coded = error instanceof CodedError ? error : undefined;
    return [{ level: 'fail', subject, text: coded?.message ?? paragraphOf(error), cure: coded?.cure ?? '' }];
  }
  const { server, taken, leftOut } = seen;
  const findings: Finding[] = [
    { level: 'ok', subject, text: `${server} holds ${taken.length} that are looked after${listed(taken)}`, cure: '' },
  ];
  const meant = leftOut.filter(({ cure }) => cure === undefined);
  if (meant.length > 0) {
    const text = `left out: ${meant.map(({ name, why }) => `${name} ${why}`).join('; ')}`;
    findings.push({ level: 'ok', subject, text, cure: '' });
  }
  for (const { name, why, cure } of leftOut) {
    if (cure === undefined) continue;
    findings.push({ level: 'fail', subject, text: `${JSON.stringify(name)} is not backed up: it ${why}`, cure });
  }
  return findings;
}

function listed(names: readonly string[]): string {
  return names.length === 0 ? '' : `: ${names.join(', ')}`;
}

function goneOnes(host: Host): Finding[] {
  return Object.values(host.configuration.databases).flatMap(({ name, goneSince }): Finding[] => {
    if (goneSince === undefined) return [];
    return [
      {
        level: 'warn',
        subject: `${name}: server`,
        text: `it is there no more, as was seen at ${new Date(goneSince).toISOString()}: its backups stay, and no more are made`,
        cure: `Restore it where it should be there: strideiq-agent restore latest --database ${name} --into ${name}. Else name it under exclude, by which it is forgotten, and nothing is removed.`,
      },
    ];
  });
}
