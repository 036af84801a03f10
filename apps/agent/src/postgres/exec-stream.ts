import { Duplex } from 'node:stream';
import { AgentError } from '../errors.ts';
import { startChild, type ChildProcess } from './child-process.ts';

/**
 * Copies standard streams to and from the server's port, with nothing but bash on the other side (contract.md). Host
 * and port are arguments, so no text is ever put into the script. When the client hangs up, the first `cat` ends, and
 * the second is ended with it: otherwise it would keep the connection open for ever.
 */
const tunnelScript =
  'exec 3<>"/dev/tcp/$0/$1" || exit 1; cat <&3 & reader=$!; cat >&3; kill "$reader" 2>/dev/null; exit 0';

/** The command whose standard streams are a connection to the server. */
export function tunnelCommand(exec: readonly string[], execConnect: readonly string[], port: number): string[] {
  return execConnect.length > 0 ? [...execConnect] : [...exec, 'bash', '-c', tunnelScript, '127.0.0.1', String(port)];
}

/**
 * A connection over a child's standard streams, with the few calls beyond a Duplex that `pg` makes on its socket.
 * Destroying it ends the child.
 */
export class ExecStream extends Duplex {
  readonly #command: readonly string[];
  #child: ChildProcess | undefined;

  constructor(command: readonly string[]) {
    super();
    this.#command = command;
  }

  /** Called by `pg` in place of a socket's connect: host and port are already in the command. */
  connect(): this {
    const child = startChild(this.#command);
    this.#child = child;
    child.stdout.on('data', (bytes: Buffer) => {
      if (!this.push(bytes)) child.stdout.pause();
    });
    void this.#watch(child);
    process.nextTick(() => this.emit('connect'));
    return this;
  }

  async #watch(child: ChildProcess): Promise<void> {
    const outcome = await child.ended;
    if (this.destroyed) return;
    if (outcome.exitCode === 0) {
      this.push(null);
      return;
    }
    const why = outcome.startError ?? (outcome.stderr || `exit code ${outcome.exitCode ?? outcome.signal}`);
    this.destroy(
      new AgentError(
        'ServerUnreachable',
        `The command \`${this.#command.slice(0, this.#command.indexOf(tunnelScript)).join(' ')} …\` that reaches the server ended: ${why}.`,
        'Run the `dump.exec` command by hand: the container or host must be up and have bash, and the port must be the one inside.',
      ),
    );
  }

  override _read(): void {
    this.#child?.stdout.resume();
  }

  override _write(bytes: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    if (!this.#child) done(new Error('written before it was connected'));
    else if (this.#child.stdin.write(bytes)) done();
    else this.#child.stdin.once('drain', done);
  }

  override _final(done: () => void): void {
    this.#child?.stdin.end();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    void this.#child?.stop();
    done(error);
  }

  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
}
