import { CodedError } from '@strideiq/core';
import { createTRPCClient, createWSClient, TRPCClientError, wsLink, type TRPCClient } from '@trpc/client';
import { WebSocket, type ClientOptions } from 'ws';
import type { AgentRouter, WireError } from './agent-router.ts';
import { agentPath, keepAlive, mostMessageBytes } from './limits.ts';

export interface AgentClientOptions {
  /** Base address of the control plane, `https://backup.example.com`. */
  url: string;
  credential: string;
  /**
   * Called once: the connection was refused, lost, or closed by either side.
   * @param refusal what the control plane said, where it was its word that refused it
   */
  onClose: (why: string, refusal?: CodedError) => void;
  /** Certificate authorities in PEM beside the system's own. */
  ca?: string;
}

/** One connection to the control plane. It is never used again once it is lost: whoever wants another opens one. */
export interface AgentClient {
  api: TRPCClient<AgentRouter>;
  close: () => void;
}

/** How long a handshake may take, and how long the other side may take to say goodbye. */
const handshakeTimeoutMs = 15_000;
const closeTimeoutMs = 2_000;

/**
 * Opens one connection. tRPC's client would open the next by itself, with waits that bring a thousand agents back in the
 * same second, and a subscription that was refused once never comes back: so its own retry is left unused.
 */
export function openAgentClient({ url, credential, onClose, ca }: AgentClientOptions): AgentClient {
  let closed = false;
  let why = 'the control plane could not be reached';
  let refusal: CodedError | undefined;
  const sockets = new Set<WebSocket>();
  const end = () => {
    if (closed) return;
    closed = true;
    // Ended, so that it does not try again by itself. It waits for what is not answered; the socket does not.
    void client.close().catch(() => undefined);
    for (const socket of sockets) socket.close();
    onClose(why, refusal);
  };
  class Socket extends WebSocket {
    constructor(address: string | URL) {
      const options: ClientOptions & { closeTimeout: number } = {
        headers: { authorization: `Bearer ${credential}` },
        handshakeTimeout: handshakeTimeoutMs,
        closeTimeout: closeTimeoutMs,
        maxPayload: mostMessageBytes,
        ...(ca === undefined ? {} : { ca }),
      };
      super(address, options);
      sockets.add(this);
      // It was closed before there was a socket.
      if (closed) this.terminate();
      this.on('unexpected-response', (request, response) => {
        const said = response.headers['x-strideiq-error'];
        why = `the control plane answered ${response.statusCode} ${typeof said === 'string' ? said : (response.statusMessage ?? '')}`;
        const [, code, text] = (typeof said === 'string' && /^(\w+): (.*)$/s.exec(said)) || [];
        if (code !== undefined) refusal = new CodedError(code, text ?? '');
        // First: ending the socket gives it another reason.
        end();
        response.resume();
        request.destroy();
        this.terminate();
      });
      this.on('error', (error) => {
        why = error.message || why;
        // Before tRPC's client hears of it, which would wait for its next try for weeks, and hold all of this meanwhile.
        end();
      });
      this.on('close', (code, reason) => {
        sockets.delete(this);
        if (code !== 1006 || why === '') why = reason.toString() || `the connection was closed (${code})`;
        end();
      });
    }
  }
  const client = createWSClient({
    url: addressOf(url),
    WebSocket: Socket as unknown as typeof globalThis.WebSocket,
    // Never by itself: `end` comes first.
    retryDelayMs: () => 2 ** 31 - 1,
    keepAlive: { enabled: true, intervalMs: keepAlive.intervalMs, pongTimeoutMs: keepAlive.answerMs },
  });
  return {
    api: createTRPCClient<AgentRouter>({ links: [wsLink({ client })] }),
    close: () => {
      why = 'it was closed by this host';
      end();
    },
  };
}

/** The WebSocket's address below the control plane's own. */
function addressOf(url: string): string {
  const address = new URL(url);
  address.protocol = address.protocol === 'http:' ? 'ws:' : 'wss:';
  address.pathname = address.pathname.replace(/\/$/, '') + agentPath;
  return address.href;
}

/** What the control plane said of a call that failed, with its own code; undefined where the connection did. */
export function refusalOf(error: unknown): CodedError | undefined {
  if (!(error instanceof TRPCClientError)) return undefined;
  const data = error.data as { coded?: WireError } | null | undefined;
  return data?.coded ? new CodedError(data.coded.code, data.coded.text) : undefined;
}
