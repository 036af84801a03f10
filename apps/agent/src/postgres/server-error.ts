/** What the server said of a statement that failed (PostgreSQL docs, "Error and Notice Message Fields"). */
export class ServerError extends Error {
  /** SQLSTATE. */
  readonly code: string;
  readonly detail: string | undefined;

  constructor(message: string, code: string, detail?: string) {
    super(message);
    this.code = code;
    this.detail = detail;
  }

  /** @param body of an ErrorResponse: fields of one letter and a text that ends with a zero byte */
  static read(body: Buffer): ServerError {
    const fields = new Map<string, string>();
    for (let at = 0; at < body.length && body[at] !== 0;) {
      const end = body.indexOf(0, at);
      const last = end < 0 ? body.length : end;
      fields.set(String.fromCharCode(body[at] as number), body.toString('utf8', at + 1, last));
      at = last + 1;
    }
    return new ServerError(fields.get('M') ?? 'no reason given', fields.get('C') ?? '', fields.get('D'));
  }
}
