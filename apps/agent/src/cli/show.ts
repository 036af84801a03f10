import { table } from '@strideiq/terminal';
import prettyBytes from 'pretty-bytes';
import { judgeTrust } from '../restore/trust.ts';
import { sourceOfReference } from './reference.ts';
import type { Command } from './run-command.ts';

/** `show REF`: manifest and tables. */
export async function show(command: Command, reference: string, options: { database?: string }): Promise<number> {
  const { host, output } = command;
  const { source } = await sourceOfReference(command, reference, options.database);
  const trust = judgeTrust(source, host.key, host.journal);
  const trustText = trust.trusted ? `yes, by ${trust.because}` : `no: ${trust.because}`;
  const manifest = trust.manifest ?? source.found?.manifest;
  if (!manifest) {
    const { dumpKey, sizeBytes, opened } = source;
    const why = source.unreadable ?? 'it has no manifest.';
    output.result(
      {
        name: dumpKey,
        sizeBytes,
        location: opened.store.location,
        managed: false,
        unreadable: source.unreadable ?? null,
      },
      `${dumpKey} in ${opened.store.location}, ${prettyBytes(sizeBytes)}: unmanaged, ${why}\nIt can be verified and restored all the same, and \`strideiq-agent adopt\` takes it in.`,
    );
    return 0;
  }
  const { object, source: from, snapshot, adopted } = manifest;
  const made = adopted ? `taken in on ${adopted.at}` : `${manifest.chunks.length} chunks`;
  const lines = [
    `Backup ${object.name}`,
    `  id          ${manifest.backupId}`,
    `  of          ${from.database} in ${manifest.environment}, ${[`PostgreSQL ${from.serverVersion}`, from.encoding, from.collate].filter((text) => text !== '').join(', ')}`,
    `  moment      ${snapshot.takenAt}${snapshot.walPosition ? ` at WAL ${snapshot.walPosition}` : ''}${from.standby ? ' (standby)' : ''}`,
    `  size        ${prettyBytes(object.bytes)}, ${prettyBytes(object.rawBytes)} of SQL, ${made}`,
    `  sha256      ${object.sha256}`,
    `  trusted     ${trustText}`,
    `  extensions  ${manifest.extensions.map(({ name, version }) => `${name} ${version}`).join(', ') || 'none'}`,
    ...(manifest.roles.length > 0 ? [`  needs roles ${manifest.roles.join(', ')}`] : []),
    ...(manifest.passwordsIn.length > 0 ? [`  holds passwords in ${manifest.passwordsIn.join(', ')}`] : []),
    ...(manifest.globals?.rolePasswords === true
      ? [`  ${manifest.globals.name} holds the password hashes of all roles of its server`]
      : []),
    '',
    table(
      ['TABLE', 'ROWS'],
      manifest.tables.map(({ schema, name, rows }) => [`${schema}.${name}`, rows.toLocaleString('en')]),
      [1],
    ),
  ];
  output.result({ ...manifest, trusted: trust.trusted, location: source.opened.store.location }, lines.join('\n'));
  return 0;
}
