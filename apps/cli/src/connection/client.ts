import type { ApiRouter } from '@strideiq/control-plane/router';
import { createTRPCClient, httpLink, httpSubscriptionLink, splitLink, type TRPCClient } from '@trpc/client';
import type { Connection } from '../access/connection.ts';
import { EventStream } from './event-stream.ts';
import { patientFetch } from './patient-fetch.ts';

/** The control plane's procedures, as this program calls them. */
export type Client = TRPCClient<ApiRouter>;

/** By what a call that starts work is known when it has to be asked again. */
export interface CallContext {
  idempotencyKey?: string;
}

export interface ClientOptions {
  signal: AbortSignal;
  /** Told before each wait for another try. */
  note: (text: string) => void;
  pausesMs?: readonly number[];
}

export function openClient({ url, key }: Pick<Connection, 'url' | 'key'>, options: ClientOptions): Client {
  const trpc = `${url}/trpc`;
  const authorization = `Bearer ${key}`;
  return createTRPCClient<ApiRouter>({
    links: [
      splitLink({
        condition: ({ type }) => type === 'subscription',
        true: httpSubscriptionLink({
          url: trpc,
          EventSource: EventStream,
          eventSourceOptions: { headers: { authorization } },
        }),
        false: httpLink({
          url: trpc,
          fetch: patientFetch({ address: url, ...options }),
          headers: ({ op }) => {
            const { idempotencyKey } = op.context as CallContext;
            return { authorization, ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }) };
          },
        }),
      }),
    ],
  });
}
