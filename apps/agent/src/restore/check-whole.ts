import type { BackupSource } from '../backups/resolve-reference.ts';
import { AgentError } from '../errors.ts';
import { verifyCopy, type VerifyDependencies } from '../verify/verify-copy.ts';

/**
 * A dump without a manifest is read whole before any of it runs: only then is it known that it has an end, and no psql
 * command in its midst.
 * @throws AgentError `VerificationFailed`
 */
export async function checkWhole(source: BackupSource, dependencies: VerifyDependencies): Promise<void> {
  const { problems } = await verifyCopy(source, dependencies);
  if (problems.length === 0) return;
  throw new AgentError(
    'VerificationFailed',
    `${source.dumpKey} is not a whole dump: ${problems
      .slice(0, 3)
      .map((text) => text.replace(/\.$/, ''))
      .join('; ')}.`,
    'Nothing of it was run. Restore from another copy or another backup; `strideiq-agent list` shows them.',
  );
}
