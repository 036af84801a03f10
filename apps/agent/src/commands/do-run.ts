import { doBackup } from './do-backup.ts';
import { doRestore } from './do-restore.ts';
import { doRestoreUpload } from './do-restore-upload.ts';
import { doVerify } from './do-verify.ts';
import { storeNamesOf } from './store-names.ts';
import type { RunCommand, Work } from './work.ts';

/** Does what a command asks for; its run is in the journal from where it can be said to have begun. */
export async function doRun({ command, ...work }: Omit<Work, 'command'> & { command: RunCommand }): Promise<void> {
  switch (command.kind) {
    case 'backup': {
      const { configuration } = work.host;
      const stores = storeNamesOf(configuration, work.database, command.body.storeIds);
      return doBackup({ ...work, asked: command, stores });
    }
    case 'verify':
      return doVerify({ ...work, command });
    case 'restoreFresh':
    case 'restoreTables':
    case 'restoreInPlace':
    case 'drill':
      return doRestore({ ...work, command });
    case 'restoreUpload':
      return doRestoreUpload({ ...work, command });
  }
}
