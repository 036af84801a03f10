import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type YAMLError } from 'yaml';
import type { Problem } from './errors.ts';
import { keyOf } from './problems.ts';

/** What helps with what YAML itself finds wrong; `yaml`'s own codes. */
const cures: Record<string, string> = {
  DUPLICATE_KEY: 'Keep one of the two.',
  TAB_AS_INDENT: 'Indent with blanks; YAML does not take tabs.',
  BAD_ALIAS: 'Put text that begins with * in quotes, such as schedule: "*/15 * * * *".',
  BAD_INDENT: 'Indent the keys of one mapping alike, and close every bracket and brace.',
  MISSING_CHAR: 'Close quotes, brackets and braces; put text that holds : or # or { in quotes.',
  MULTIPLE_DOCS: 'Keep one document: leave out the line ---.',
};
const anyCure = 'Put text that begins with *, &, {, [ or @, or that holds ": ", in quotes.';

/** A YAML text, its value, and where each key of it stands. */
export class YamlFile {
  /** What the text holds; undefined where it cannot be told. */
  readonly value: unknown;
  readonly problems: readonly Problem[];
  readonly #document: Document.Parsed;
  readonly #lines = new LineCounter();

  constructor(text: string) {
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false, uniqueKeys: true });
    const found = this.#document.errors.map((error) => this.#problemOf(error));
    // The first on a line says it; those behind it only follow from it.
    const problems = found.filter(({ line }, at) => found.findIndex((each) => each.line === line) === at);
    // A key given twice still leaves a document to look at; what else is wrong then is told along with it.
    const readable = this.#document.errors.every(({ code }) => code === 'DUPLICATE_KEY');
    try {
      if (readable) this.value = this.#document.toJS();
    } catch (cause) {
      problems.push({ line: 1, column: 1, key: '', what: (cause as Error).message, cure: cures['BAD_ALIAS'] ?? '' });
    }
    this.problems = problems;
  }

  /** Where the key at `path` stands, or the nearest mapping around a key that is not there. */
  placeOf(path: readonly PropertyKey[]): { line: number; column: number } {
    let node: unknown = this.#document.contents;
    let offset = 0;
    for (const step of path) {
      if (isAlias(node)) node = node.resolve(this.#document);
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
        if (pair === undefined) break;
        offset = offsetOf(pair.key) ?? offset;
        node = pair.value;
      } else if (isSeq(node)) {
        node = node.items[Number(step)];
        offset = offsetOf(node) ?? offset;
      } else break;
    }
    return this.#position(offset);
  }

  #problemOf(error: YAMLError): Problem {
    const [offset] = error.pos;
    const what = error.code === 'DUPLICATE_KEY' ? 'stands here a second time' : uncapitalised(error.message);
    return { ...this.#position(offset), key: this.#keyAt(offset), what, cure: cures[error.code] ?? anyCure };
  }

  #position(offset: number): { line: number; column: number } {
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }

  /** The innermost key whose text holds `offset`, as far as the text could be taken apart. */
  #keyAt(offset: number): string {
    const path: PropertyKey[] = [];
    let node: unknown = this.#document.contents;
    for (;;) {
      if (isMap(node)) {
        const pair = node.items.findLast(({ key }) => (offsetOf(key) ?? Infinity) <= offset);
        if (pair === undefined || !isScalar(pair.key)) break;
        path.push(String(pair.key.value));
        node = pair.value;
      } else if (isSeq(node)) {
        const at = node.items.findLastIndex((item) => (offsetOf(item) ?? Infinity) <= offset);
        if (at < 0) break;
        path.push(at);
        node = node.items[at];
      } else break;
    }
    return keyOf(path);
  }
}

function offsetOf(node: unknown): number | undefined {
  if (node === null || typeof node !== 'object' || !('range' in node) || !Array.isArray(node.range)) return undefined;
  return typeof node.range[0] === 'number' ? node.range[0] : undefined;
}

function uncapitalised(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1).replace(/\.$/, '');
}
