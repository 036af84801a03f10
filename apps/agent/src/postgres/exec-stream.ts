import { Duplex } from 'node:stream';
import { AgentError } from '../errors.ts';
import { startChild, type ChildProcess } from './child-process.ts';

/**
 * Copies standard streams to and from the server's port, with nothing but bash on the other side (contract.md). Host
 * and port are arguments, so no text is ever put into the script. It ends when either side hangs up, so that the other
 * hears of it; otherwise the session would stay, with its locks. Whoever copies to the server holds a pipe (5) whose end
 * tells that it is done, at whatever moment that is (`wait -n` can miss one that was quick), and all hang on a subshell,
 * which sees to its end also where bash itself was killed.
 */
const tunnelScript = [
  'exec 3<>"/dev/tcp/$1/$2" 4<&0 || exit 1',
  '{',
  '  cat <&3 4<&- & reader=$!',
  '  cat 5>&1 <&4 >&3 2>/dev/null | { read -r _; kill "$reader"; } >/dev/null 2>&1 3>&- 4<&- &',
  '  wait "$reader" 2>/dev/null',
  '} & wait $!',
  'exit 0',
].join('\n');

/** The command whose standard streams are a connection to the server. */
export function tunnelCommand(exec: readonly string[], execConnect: readonly string[], port: number): string[] {
  return execConnect.length > 0
    ? [...execConnect]
    : [...exec, 'bash', '-c', tunnelScript, 'bash', '127.0.0.1', String(port)];
}

/**
 * A connection over a child's standard streams, with the few calls beyond a Duplex that `pg` makes on its socket.
 * Destroying it ends the child.
 */
export class ExecStream extends Duplex {
  readonly #command: readonly string[];
  #child: ChildProcess | undefined;

  constructor(command: readonly string[]) {
    super({ allowHalfOpen: false });
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
    if (this.writableFinished) {
      this.push(null);
      return;
    }
    const how = outcome.exitCode === 0 ? 'the server hung up' : `exit code ${outcome.exitCode ?? outcome.signal}`;
    this.destroy(
      new AgentError(
        'ServerUnreachable',
        `The command \`${this.#label}\` that reaches the server ended: ${outcome.startError ?? (outcome.stderr || how)}.`,
        'Run the command by hand: the container or host must be up and have bash, the port must be the one inside, and the server must run.',
      ),
    );
  }

  /** The command for people, who need not read our script. */
  get #label(): string {
    const script = this.#command.indexOf(tunnelScript);
    return script < 0 ? this.#command.join(' ') : `${this.#command.slice(0, script).join(' ')} …`;
  }

  override _read(): void {
    this.#child?.stdout.resume();
  }

  override _write(bytes: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    if (!this.#child) done(new Error('written before it was connected'));
    // Called back too where the child has gone, whose end says why.
    else this.#child.stdin.write(bytes, () => done());
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
