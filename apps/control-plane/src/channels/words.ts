import { durationText } from '@strideiq/core';
import type { Notice, NoticeAlert } from './notice.ts';

/** Headline of a message, on one line whatever is in it. */
export function headlineOf({ kind, severity, title }: Notice): string {
  const mark = {
    opened: severity.toUpperCase(),
    reminder: `STILL ${severity.toUpperCase()}`,
    resolved: 'RESOLVED',
    digest: 'DIGEST',
    test: 'TEST',
  };
  return oneLine(`[${mark[kind]}] ${title}`);
}

/** Whatever would break out of a line or a header. */
export function oneLine(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u001F\u007F-\u009F\u2028\u2029]+/g, ' ').trim();
}

/** What is said of one alert: what, since when, and for how long. */
export function alertLine({ subject, text, openedAt, resolvedAt }: NoticeAlert, at: number): string {
  const since = new Date(openedAt).toISOString().slice(0, 16).replace('T', ' ');
  if (resolvedAt !== undefined) return oneLine(`${subject}: resolved after ${durationText(resolvedAt - openedAt, 0)}.`);
  return oneLine(`${subject}: ${text} Since ${since} UTC, for ${durationText(at - openedAt, 0)}.`);
}

/** All of a message as lines of plain text. */
export function linesOf(notice: Notice): string[] {
  const { alerts, more, meaning, cure, link, at, kind } = notice;
  const isOver = kind === 'resolved';
  return [
    ...alerts.map((alert) => alertLine(alert, at)),
    ...(more > 0 ? [`And ${more} more.`] : []),
    ...(meaning === '' || isOver ? [] : [`What it means: ${meaning}`]),
    ...(cure === '' || isOver ? [] : [`What to do: ${cure}`]),
    ...(link === null ? [] : [link]),
  ];
}

/** @param most characters; what is longer ends with a mark, and no character is cut in halves */
export function shortened(text: string, most: number): string {
  const letters = Array.from(text.toWellFormed());
  if (text.length <= most) return letters.join('');
  let kept = '';
  for (const letter of letters) {
    if (kept.length + letter.length > most - 1) break;
    kept += letter;
  }
  return `${kept}…`;
}

/** As many lines as fit. */
export function fitting(lines: readonly string[], most: number): string {
  const kept: string[] = [];
  let length = 0;
  for (const [at, line] of lines.entries()) {
    const left = `… and ${lines.length - at} lines more`;
    if (length + line.length + 1 > most - left.length) {
      kept.push(kept.length === 0 ? shortened(line, most) : left);
      break;
    }
    kept.push(line);
    length += line.length + 1;
  }
  return kept.join('\n');
}

/** A table in plain text, its columns under each other. */
export function plainTable({ head, rows }: NonNullable<Notice['table']>): string {
  const all = [head, ...rows].map((row) => row.map(oneLine));
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Text inside HTML or XML. */
export function escapedHtml(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replaceAll(/[&<>"']/g, (letter) => entities[letter] ?? letter);
}
