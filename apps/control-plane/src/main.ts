import { runProgram } from './cli/program.ts';

// Files are 0600 and folders 0700, whatever makes them: SQLite too.
process.umask(0o077);

// Whoever reads our output may have seen enough: `strideiq-control-plane keys list | head`.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

process.exitCode = await runProgram(process.argv.slice(2));
