import { z } from 'zod';

/** Where to listen. */
export interface Listen {
  host: string;
  port: number;
}

const words = 'must be address and port, such as 127.0.0.1:8080, [::]:8080 or 0.0.0.0:8080';

/** `127.0.0.1:8080`, `[::1]:8080`, `backup.example.com:8443`; undefined for what is none. */
export function readListen(text: string): Listen | undefined {
  const [, inBrackets, plain, digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = inBrackets ?? plain;
  const port = Number(digits);
  return host === undefined || port > 65_535 ? undefined : { host, port };
}

export const listenSchema = z.string().transform((text, context) => {
  const listen = readListen(text);
  if (listen !== undefined) return listen;
  context.addIssue({ code: 'custom', message: words });
  return z.NEVER;
});
