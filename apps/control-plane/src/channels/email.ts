import { paragraphOf } from '@strideiq/core';
import { redacted } from '@strideiq/terminal';
import { readFileSync } from 'node:fs';
import { createTransport } from 'nodemailer';
import { ChannelFailed } from './channel-failed.ts';
import type { Notice } from './notice.ts';
import type { EmailConfiguration } from './schema.ts';
import { alertLine, escapedHtml, headlineOf, linesOf, plainTable, shortened } from './words.ts';

const limitMs = 15_000;
/** A line of a header may have 998 characters (RFC 5322, 2.1.1); people read fewer. */
const mostSubject = 200;

/** @throws ChannelFailed */
export async function sendEmail(
  { smtp, from, to }: EmailConfiguration,
  notice: Notice,
  { password, secrets, signal }: { password: string | undefined; secrets: Iterable<string>; signal: AbortSignal },
): Promise<void> {
  const transport = createTransport({
    host: smtp.host,
    port: smtp.port,
    secure: smtp.tls === 'implicit',
    requireTLS: smtp.tls === 'starttls',
    ignoreTLS: smtp.tls === 'none',
    ...(smtp.user === undefined ? {} : { auth: { user: smtp.user, pass: password ?? '' } }),
    ...(smtp.caFile === undefined ? {} : { tls: { ca: readFileSync(smtp.caFile, 'utf8') } }),
    connectionTimeout: limitMs,
    greetingTimeout: limitMs,
    socketTimeout: limitMs,
    // What is in a message is never taken from files or other places.
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const leave = () => transport.close();
  signal.addEventListener('abort', leave, { once: true });
  try {
    const { rejected } = await transport.sendMail({ from, to, ...messageOf(notice, from) });
    if (rejected.length > 0) {
      throw new ChannelFailed(`${smtp.host} does not take mail for ${rejected.join(', ')}; the others have it.`, {
        isWorthAnother: false,
      });
    }
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof ChannelFailed) throw cause;
    const { responseCode, code } = cause as { responseCode?: number; code?: string };
    // 5yz is for good (RFC 5321, 4.2.1); a login that is refused is mended in the configuration.
    const isWorthAnother = !(responseCode !== undefined && responseCode >= 500) && code !== 'EAUTH';
    throw new ChannelFailed(`${smtp.host} did not take the mail: ${redacted(paragraphOf(cause), secrets)}.`, {
      isWorthAnother,
      cause,
    });
  } finally {
    signal.removeEventListener('abort', leave);
    transport.close();
  }
}

/** As text and as HTML. Messages of one trouble are one thread; nobody's absence is answered to it. */
function messageOf(notice: Notice, from: string) {
  const { id, group } = notice;
  const domain = from.slice(from.lastIndexOf('@') + 1);
  const thread = `<${Buffer.from(group).toString('base64url')}@strideiq.${domain}>`;
  return {
    subject: shortened(headlineOf(notice), mostSubject),
    text: `${textOf(notice)}\n`,
    html: htmlOf(notice),
    messageId: `<${id}@strideiq.${domain}>`,
    references: thread,
    inReplyTo: thread,
    headers: { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' },
  };
}

function textOf(notice: Notice): string {
  const { table } = notice;
  return [headlineOf(notice), ...(table ? [plainTable(table)] : []), ...linesOf(notice)].join('\n\n');
}

const cell = 'padding:4px 12px 4px 0;text-align:left;vertical-align:top';

function htmlOf(notice: Notice): string {
  const { alerts, more, meaning, cure, link, table, at, kind, severity } = notice;
  const color =
    kind === 'resolved' || kind === 'digest'
      ? '#1a7f37'
      : { critical: '#b42318', warning: '#9a6700', info: '#0550ae' }[severity];
  const row = (cells: readonly string[], tag: 'td' | 'th') =>
    `<tr>${cells.map((text) => `<${tag} style="${cell}">${escapedHtml(text)}</${tag}>`).join('')}</tr>`;
  const isOver = kind === 'resolved';
  return [
    '<!doctype html><html><body style="font-family:sans-serif;line-height:1.5">',
    `<h2 style="color:${color};font-size:18px">${escapedHtml(headlineOf(notice))}</h2>`,
    alerts.length === 0
      ? ''
      : `<ul>${alerts.map((alert) => `<li>${escapedHtml(alertLine(alert, at))}</li>`).join('')}</ul>`,
    more > 0 ? `<p>And ${more} more.</p>` : '',
    table
      ? `<table style="border-collapse:collapse">${row(table.head, 'th')}${table.rows.map((each) => row(each, 'td')).join('')}</table>`
      : '',
    meaning === '' || isOver ? '' : `<p><b>What it means:</b> ${escapedHtml(meaning)}</p>`,
    cure === '' || isOver ? '' : `<p><b>What to do:</b> ${escapedHtml(cure)}</p>`,
    link === null ? '' : `<p><a href="${escapedHtml(link)}">Look at it</a></p>`,
    '</body></html>',
  ].join('\n');
}
