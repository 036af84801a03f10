import type { Notice } from './notice.ts';
import type { TemplateName } from './schema.ts';
import { alertLine, escapedHtml, fitting, headlineOf, linesOf, plainTable, shortened } from './words.ts';

/** What a template needs beside the message. */
export interface TemplateSettings {
  chatId?: string | undefined;
  topic?: string | undefined;
}

/** Bodies of webhooks, each as its service takes it. */
export const templates: Record<TemplateName, (notice: Notice, settings: TemplateSettings) => object> = {
  json: (notice) => ({
    ...notice,
    at: new Date(notice.at).toISOString(),
    alerts: notice.alerts.map(plainAlert),
    headline: headlineOf(notice),
  }),
  teams,
  discord,
  telegram,
  ntfy,
};

function plainAlert({ openedAt, resolvedAt, ...rest }: Notice['alerts'][number]): object {
  return {
    ...rest,
    openedAt: new Date(openedAt).toISOString(),
    ...(resolvedAt === undefined ? {} : { resolvedAt: new Date(resolvedAt).toISOString() }),
  };
}

/** Bytes of a message to a workflow: 28 KB (https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook). */
const mostTeams = 20_000;

/** An Adaptive Card, as the workflow "Post to a channel when a webhook request is received" takes it. */
function teams(notice: Notice): object {
  const text = (said: string, more: object = {}) => ({ type: 'TextBlock', text: said, wrap: true, ...more });
  const color = { critical: 'attention', warning: 'warning', info: 'accent' }[notice.severity];
  const { link, table } = notice;
  const lines = fitting(withTable(notice), mostTeams).split('\n');
  const card = {
    $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
    type: 'AdaptiveCard',
    version: '1.4',
    body: [
      text(shortened(headlineOf(notice), 500), {
        weight: 'bolder',
        size: 'medium',
        color: notice.kind === 'resolved' ? 'good' : color,
      }),
      ...lines.map((line) => text(escapedMarkdown(line), table ? { fontType: 'monospace' } : {})),
    ],
    ...(link === null ? {} : { actions: [{ type: 'Action.OpenUrl', title: 'Look at it', url: link }] }),
  };
  return { type: 'message', attachments: [{ contentType: 'application/vnd.microsoft.card.adaptive', content: card }] };
}

/** Without the link, which such services have a place of its own for. */
function withTable(notice: Notice): string[] {
  const { table } = notice;
  return [...linesOf({ ...notice, link: null }), ...(table ? plainTable(table).split('\n') : [])];
}

function escapedMarkdown(text: string): string {
  return text.replaceAll(/[\\`*_{}[\]<>#~|]/g, (letter) => `\\${letter}`);
}

/** Characters of an embed's title and text (https://discord.com/developers/docs/resources/message#embed-object-embed-limits). */
const [mostDiscordTitle, mostDiscordText] = [256, 4096];

/** An embed; nobody is called by what is in it (https://discord.com/developers/docs/resources/webhook#execute-webhook). */
function discord(notice: Notice): object {
  const { link, at, severity, kind } = notice;
  const color =
    kind === 'resolved' ? 0x2e_a0_43 : { critical: 0xd7_3a_49, warning: 0xe3_a0_08, info: 0x3b_82_f6 }[severity];
  const embed = {
    title: shortened(headlineOf(notice), mostDiscordTitle),
    description: fitting(withTable(notice).map(escapedMarkdown), mostDiscordText),
    color,
    timestamp: new Date(at).toISOString(),
    ...(link === null ? {} : { url: link }),
  };
  return { username: 'StrideIQ Backup', allowed_mentions: { parse: [] }, embeds: [embed] };
}

/** Characters of a message once its entities are read (https://core.telegram.org/bots/api#sendmessage). */
const mostTelegram = 4096;

/** For `https://api.telegram.org/bot<token>/sendMessage`. */
function telegram(notice: Notice, { chatId }: TemplateSettings): object {
  const headline = shortened(headlineOf(notice), 500);
  const rest = fitting(
    [...withTable(notice), ...(notice.link === null ? [] : [notice.link])],
    mostTelegram - headline.length - 2,
  );
  return {
    chat_id: chatId,
    text: `<b>${escapedHtml(headline)}</b>\n${escapedHtml(rest)}`,
    parse_mode: 'HTML',
    link_preview_options: { is_disabled: true },
  };
}

/** Bytes of a message, beyond which ntfy makes a file of it (https://docs.ntfy.sh/publish/#limitations). */
const mostNtfy = 4000;

/** Published as JSON to the server's root (https://docs.ntfy.sh/publish/#publish-as-json). */
function ntfy(notice: Notice, { topic }: TemplateSettings): object {
  const { link, severity, kind, alerts, at } = notice;
  const priority = kind === 'resolved' || kind === 'digest' ? 2 : { critical: 5, warning: 4, info: 3 }[severity];
  const tag =
    kind === 'resolved'
      ? 'white_check_mark'
      : { critical: 'rotating_light', warning: 'warning', info: 'information_source' }[severity];
  const first = alerts[0];
  const message = fittingBytes(withTable(notice), mostNtfy);
  return {
    topic,
    title: shortened(headlineOf(notice), 250),
    message: message === '' ? (first ? alertLine(first, at) : notice.title) : message,
    priority,
    tags: [tag],
    ...(link === null ? {} : { click: link }),
  };
}

/** Letters may be of several bytes. */
function fittingBytes(lines: readonly string[], most: number): string {
  for (let characters = most; ; characters = Math.floor(characters / 2)) {
    const text = fitting(lines, characters);
    if (Buffer.byteLength(text) <= most) return text;
  }
}

/** A text of somebody's own, JSON, with the message's words in its places. */
export function filledIn(body: string, notice: Notice): string {
  const { severity, kind, environment, rule, link, group, id } = notice;
  const words: Record<string, string> = {
    title: headlineOf(notice),
    text: linesOf(notice).join('\n'),
    severity,
    kind,
    environment: environment ?? '',
    rule: rule ?? '',
    link: link ?? '',
    group,
    id,
  };
  // Inside quotation marks of the text: as JSON writes it, without its own.
  return body.replaceAll(/\{\{\s*(\w+)\s*\}\}/g, (whole, name: string) =>
    Object.hasOwn(words, name) ? JSON.stringify(words[name]).slice(1, -1) : whole,
  );
}
