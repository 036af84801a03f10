import { examineControlPlane } from '../doctor/examine-control-plane.ts';
import { examineServers } from '../doctor/examine-servers.ts';
import { examine, type Finding } from '../doctor/examine.ts';
import { databaseOf, type Command } from './run-command.ts';

const marks = { ok: 'ok  ', warn: 'warn', fail: 'FAIL' };

/** `doctor [DATABASE]`: exit code 1 where something fails. */
export async function doctor(command: Command, name: string | undefined): Promise<number> {
  const { host, output } = command;
  // First, since it finds the databases that the rest is about.
  const findings: Finding[] = await examineServers(host);
  findings.push(...(await examineControlPlane(host)));
  const databases =
    name === undefined ? Object.values(host.configuration.databases) : [databaseOf(host.configuration, name)];
  const there = databases.filter(({ goneSince }) => goneSince === undefined);
  for (const database of there) findings.push(...(await examine(host, database)));
  const lines = findings.map((one) => {
    const cure = one.cure === '' ? '' : `\n       ${one.cure}`;
    return `${marks[one.level]}  ${one.subject}: ${one.text}${cure}`;
  });
  output.result({ findings }, lines.join('\n'));
  return findings.some((one) => one.level === 'fail') ? 1 : 0;
}
