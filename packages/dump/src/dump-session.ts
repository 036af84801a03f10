import { sessionEffect, type SessionEffect } from './session-effect.ts';
import { SessionSettings } from './session-settings.ts';
import type { ScanSettings } from './spans.ts';

/** The settings in force at a place of a dump, by name: the statements that make another session agree with it. */
export type SettingsInForce = ReadonlyMap<string, Buffer>;

/** Follows what a dump's statements do to their session, so that others can take its place. */
export class DumpSession {
  #settings: SettingsInForce = new Map();
  readonly #scan = new SessionSettings({ standardStrings: true, clientEncoding: 'UTF8' });
  #known = true;
  #inTransaction = false;

  /** Takes in a statement as it stands in the dump. */
  follow(sql: Buffer): SessionEffect {
    const effect = sessionEffect(sql);
    if (effect.kind === 'setting') {
      this.#settings = new Map(this.#settings).set(effect.name, sql);
      this.#scan.follow(sql, 0);
    } else if (effect.kind === 'transaction') this.#inTransaction = effect.step === 'begin';
    else if (effect.kind === 'unknown') this.#known = false;
    return effect;
  }

  /** In force after the statement that was taken in last; what was handed out stays as it is. */
  get settings(): SettingsInForce {
    return this.#settings;
  }

  /** The same, as far as it says how bytes that follow are to be read. */
  get scan(): ScanSettings {
    const { standardStrings, clientEncoding } = this.#scan;
    return { standardStrings, clientEncoding };
  }

  /** The session's state is what `settings` say: another one that has them is as good. */
  get known(): boolean {
    return this.#known && !this.#inTransaction;
  }

  /** Names without a schema mean PostgreSQL's own objects alone. */
  get searchesNothing(): boolean {
    return /'search_path', ''/.test(this.#settings.get('search_path')?.toString('latin1') ?? '');
  }
}
