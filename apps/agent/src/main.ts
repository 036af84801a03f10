import { runProgram } from './cli/program.ts';
import { keepNurserySmall } from './small-nursery.ts';

keepNurserySmall();

// Files are 0600 and folders 0700, whatever makes them: SQLite and our children too.
process.umask(0o077);

// Whoever reads our output may have seen enough: `strideiq-agent show latest | head`. The work goes on to its end.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

process.exitCode = await runProgram(process.argv.slice(2));

/** How long what is still open after the last word may take to end by itself. */
const lastWaitMs = 5000;

// A call into a dead mount never returns, and even process.exit waits for its thread: only SIGKILL does not.
setTimeout(() => {
  const inMount = process.getActiveResourcesInfo().some((name) => name.startsWith('FSReq'));
  if (inMount) process.kill(process.pid, 'SIGKILL');
  process.exit();
}, lastWaitMs).unref();
