import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { PostgresCluster } from '@strideiq/testkit';

/** Ends with its standard input, which is ours. */
const forwarder = `
  process.stdin.on('end', () => process.exit()).resume();
  const net = require('node:net');
  net.createServer((one) => {
    const other = net.connect(process.argv[1]);
    one.pipe(other).pipe(one);
    one.on('error', () => other.destroy());
    other.on('error', () => one.destroy());
  }).listen(Number(process.argv[2]), '127.0.0.1', () => process.stdout.write('ready'));`;

/**
 * A place like a container: a network of its own in which alone the server is reachable, on its 127.0.0.1. Ends with
 * `end`, and with this process. Works for root and, where user namespaces are allowed, for everybody.
 */
export class NetworkNamespace {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, port: number) {
    this.#process = process;
    this.port = port;
  }

  /** @param port on which the server answers in there */
  static async around(cluster: PostgresCluster, port: number): Promise<NetworkNamespace> {
    const socket = `${cluster.directory}/.s.PGSQL.${cluster.port}`;
    const script = 'ip link set lo up && exec "$@"';
    const args = [
      ...userNamespace,
      '--net',
      'sh',
      '-c',
      script,
      'sh',
      process.execPath,
      '-e',
      forwarder,
      socket,
      String(port),
    ];
    const child = spawn('unshare', args, { stdio: ['pipe', 'pipe', 'inherit'] });
    await Promise.race([
      once(child.stdout, 'data'),
      once(child, 'exit').then(() => Promise.reject(new Error('the network namespace could not be made'))),
    ]);
    return new NetworkNamespace(child, port);
  }

  /** In front of a command that is to run in there. */
  get prefix(): string[] {
    const user = userNamespace.length === 0 ? [] : ['--user', '--preserve-credentials'];
    return ['nsenter', '--target', String(this.#process.pid), ...user, '--net'];
  }

  async end(): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }
}

const userNamespace = process.getuid?.() === 0 ? [] : ['--map-root-user'];
