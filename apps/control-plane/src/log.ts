/** Where parts write what happened to them: the shape of pino, whose logger the composition root hands in. */
export interface Log {
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
}

/** For tools and tests. */
export const silentLog: Log = { info: () => {}, warn: () => {}, error: () => {} };
