import { isScannable } from './encoding.ts';
import { notUnderstood } from './errors.ts';
import type { ScanSettings } from './spans.ts';

const setStatement = /^SET\s+(standard_conforming_strings|client_encoding)\s*(?:=|\sTO\s)\s*'?(\w+)'?\s*;$/i;

/** The session's settings as the dump changes them on its way, as far as they say how its bytes are to be read. */
export class SessionSettings implements ScanSettings {
  standardStrings: boolean;
  clientEncoding: string;

  constructor({ standardStrings, clientEncoding }: ScanSettings) {
    this.standardStrings = standardStrings;
    this.clientEncoding = clientEncoding;
  }

  /**
   * Takes in a SET statement.
   * @throws DumpError `DumpNotUnderstood` for an encoding that cannot be told apart byte by byte
   */
  follow(statement: Buffer, offset: number): void {
    const [, name = '', value = ''] = setStatement.exec(statement.toString('latin1')) ?? [];
    if (name.toLowerCase() === 'standard_conforming_strings') {
      this.standardStrings = /^(?:on|true|yes|1)$/i.test(value);
    }
    if (name.toLowerCase() !== 'client_encoding') return;
    if (!isScannable(value)) {
      throw notUnderstood(`The dump is in ${value}, in which a backslash may be half of a character`, offset);
    }
    this.clientEncoding = value;
  }
}
