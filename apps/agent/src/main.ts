import { runProgram } from './cli/program.ts';

// Files are 0600 and folders 0700, whatever makes them: SQLite and our children too.
process.umask(0o077);

process.exitCode = await runProgram(process.argv.slice(2));
