import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Reads what it has to look after from standard input, whose other end only our process holds: when that breaks off
 * without `release`, our process is gone, however it died. Then it stops every server, by the signal that this kind
 * heeds and 5 s later by KILL, and removes the directory.
 */
const watchdog = `
directory=$1 servers=
# A zombie that nobody has collected yet is dead enough.
alive() { kill -0 "$1" 2>/dev/null && ! grep -q ') Z ' "/proc/$1/stat" 2>/dev/null; }
while read -r verb pid signal; do
  case $verb in
    add) servers="$servers $pid:$signal" ;;
    gone) left=
      for server in $servers; do [ "\${server%:*}" = "$pid" ] || left="$left $server"; done
      servers=$left ;;
    release) exit 0 ;;
  esac
done
for server in $servers; do kill -s "\${server#*:}" -- "-\${server%:*}" 2>/dev/null; done
for server in $servers; do
  tries=0
  while alive "\${server%:*}" && [ $tries -lt 100 ]; do sleep 0.05; tries=$((tries + 1)); done
  kill -s KILL -- "-\${server%:*}" 2>/dev/null
done
rm -rf -- "$directory"
`;

/**
 * A temporary directory and the server processes that live in it. All of it is gone after `end`, or a moment after the
 * death of this process, SIGKILL included: a small shell in a session of its own sees to that.
 */
export class OwnedDirectory {
  readonly path: string;
  readonly #watchdog: ChildProcess;
  readonly #servers = new Set<ChildProcess>();

  /** @param prefix of the directory's name below the system's temporary directory */
  constructor(prefix: string) {
    this.path = mkdtempSync(join(tmpdir(), prefix));
    chmodSync(this.path, 0o755);
    this.#watchdog = spawn('/bin/sh', ['-c', watchdog, 'testkit-watchdog', this.path], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    this.#watchdog.unref();
    this.#pipe.unref();
    // Both ends may go at the same time; there is nothing left to say then.
    this.#pipe.on('error', () => {});
    this.#watchdog.on('error', () => rmSync(this.path, { recursive: true, force: true }));
  }

  get #pipe(): Socket {
    return this.#watchdog.stdin as unknown as Socket;
  }

  /**
   * Starts a server that does not keep this process alive and does not outlive it.
   * @param signal what makes it end at once and clean up after itself
   */
  spawn(command: string, args: readonly string[], options: SpawnOptions, signal: 'QUIT' | 'KILL'): ChildProcess {
    const server = spawn(command, args, { ...options, detached: true });
    const { pid } = server;
    if (pid === undefined) return server;
    this.#servers.add(server);
    this.#pipe.write(`add ${pid} ${signal}\n`);
    server.unref();
    server.once('exit', () => {
      this.#servers.delete(server);
      if (this.#pipe.writable) this.#pipe.write(`gone ${pid}\n`);
    });
    return server;
  }

  /** Kills what still runs and removes the directory. May be called twice. */
  async end(): Promise<void> {
    for (const server of this.#servers) {
      const exited = once(server, 'exit');
      server.ref();
      signalGroup(server, 'SIGKILL');
      await exited;
    }
    await rm(this.path, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
    if (this.#pipe.writable) this.#pipe.end('release\n');
  }
}

/** Sends a signal to a server made by `spawn` and what it has started in its process group; one that is gone is fine. */
export function signalGroup(server: ChildProcess, signal: NodeJS.Signals): void {
  if (server.pid === undefined || hasExited(server)) return;
  try {
    process.kill(-server.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Whether its end has been seen by this process. */
export function hasExited(server: ChildProcess): boolean {
  return server.exitCode !== null || server.signalCode !== null;
}
