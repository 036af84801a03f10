import { runProgram } from './program.ts';

// The credentials are 0600 and their folder 0700, whatever makes them.
process.umask(0o077);

// Whoever reads our output may have seen enough: `strideiq backups | head`. The work goes on to its end.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

process.exitCode = await runProgram(process.argv.slice(2), process.env);
