import { expect, test } from 'vitest';
import { ProgressLine } from './progress-line.ts';

/** A stream as a terminal is one, that keeps what was written; with the clock that the line is drawn by. */
class Screen {
  readonly written: string[] = [];
  readonly isTTY: boolean;
  readonly columns = 60;
  nowMs = 0;

  constructor(isTTY: boolean) {
    this.isTTY = isTTY;
  }

  write(text: string): void {
    this.written.push(text);
  }

  line(): ProgressLine {
    return new ProgressLine(
      this,
      (text) => text.replaceAll('secret', '***'),
      () => this.nowMs,
    );
  }
}

test('on a terminal the bar is redrawn in place, at most every 120 ms', () => {
  const screen = new Screen(true);
  const line = screen.line();
  line.show({ name: 'Dumping', fraction: 0 });
  screen.nowMs = 119;
  line.show({ name: 'Dumping', fraction: 0.25 });
  screen.nowMs = 120;
  line.show({ name: 'Dumping', fraction: 0.5, details: () => ['10 MB', 'public.orders'] });
  expect(screen.written).toEqual([
    `\r\u001B[2KDumping  [${'·'.repeat(24)}]  0 %`,
    // Cut at the terminal's width, which a wrapped bar would run down.
    `\r\u001B[2K${`Dumping  [${'█'.repeat(12)}${'·'.repeat(12)}] 50 %  10 MB  public.orders`.slice(0, 59)}`,
  ]);
});

test('a new step is shown at once', () => {
  const screen = new Screen(true);
  const line = screen.line();
  line.show({ name: 'Dumping' });
  line.show({ name: 'Storing' });
  expect(screen.written).toEqual(['\r\u001B[2KDumping', '\r\u001B[2KStoring']);
});

test('the bar is taken away once, and only where one stands', () => {
  const screen = new Screen(true);
  const line = screen.line();
  line.end();
  line.show({ name: 'Dumping' });
  line.end();
  line.end();
  expect(screen.written).toEqual(['\r\u001B[2KDumping', '\r\u001B[2K']);
});

test('elsewhere a plain line every ten seconds, and the beginning of long steps', () => {
  const screen = new Screen(false);
  const line = screen.line();
  line.show({ name: 'Preparing' });
  line.show({ name: 'Dumping', announced: true });
  screen.nowMs = 9_999;
  line.show({ name: 'Dumping', announced: true, fraction: 0.3 });
  screen.nowMs = 10_000;
  line.show({ name: 'Dumping', announced: true, fraction: 0.999 });
  line.end();
  expect(screen.written).toEqual(['Dumping\n', `Dumping  [${'█'.repeat(24)}] 99 %\n`]);
});

test('details are asked for only when they are drawn', () => {
  const screen = new Screen(true);
  const line = screen.line();
  let asked = 0;
  for (let at = 0; at < 100; at++) {
    screen.nowMs = at;
    line.show({ name: 'Reading', details: () => [`${++asked}`] });
  }
  expect(asked).toBe(1);
});

test('what is shown holds no secret, no line break and no control sign', () => {
  const screen = new Screen(true);
  screen.line().show({ name: 'Dumping', details: () => ['a secret', '\u001B[1mbold\nnext'] });
  expect(screen.written).toEqual([String.raw`${'\r\u001B[2K'}Dumping  a ***  \u001b[1mbold next`]);
});

test('letters of two columns are cut at the width too', () => {
  const screen = new Screen(true);
  screen.line().show({ name: '數'.repeat(40) });
  expect(screen.written).toEqual([`\r\u001B[2K${'數'.repeat(29)}`]);
});
