import { isLoopback } from '@strideiq/core';
import { readListen, type Listen } from './listen.ts';

/** What is said of listening, by whichever of file and environment. May be of the wrong type: that is told elsewhere. */
export interface Said {
  listen?: Listen | string | undefined;
  tlsCert?: string | undefined;
  tlsKey?: string | undefined;
  allowPlainText?: boolean | undefined;
}

/** A problem with the key that it is told of. */
export interface SaidProblem {
  key: keyof Said;
  what: string;
  cure: string;
}

/** What these keys have to say together. */
export function problemsTogether({ listen, tlsCert, tlsKey, allowPlainText }: Said): SaidProblem[] {
  if (tlsCert !== undefined && tlsKey === undefined) {
    return [{ key: 'tlsCert', what: 'is of no use without its key', cure: 'Name it by tlsKey or STRIDEIQ_TLS_KEY.' }];
  }
  if (tlsKey !== undefined && tlsCert === undefined) {
    const cure = 'Name it by tlsCert or STRIDEIQ_TLS_CERT.';
    return [{ key: 'tlsKey', what: 'is of no use without its certificate', cure }];
  }
  const where = typeof listen === 'string' ? readListen(listen) : listen;
  if (tlsCert !== undefined || allowPlainText === true || where === undefined || isLoopback(where.host)) return [];
  return [
    {
      key: 'listen',
      what: 'is beyond this host, where plain text lets anyone on the way read API keys and agents’ credentials',
      cure: 'Name tlsCert and tlsKey; or listen on 127.0.0.1 behind a proxy that speaks TLS; or say allowPlainText: true (STRIDEIQ_ALLOW_PLAIN_TEXT=1) where the network itself is trusted.',
    },
  ];
}
