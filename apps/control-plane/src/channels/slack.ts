import type { Notice } from './notice.ts';
import { alertLine, headlineOf, plainTable, shortened } from './words.ts';

/** Slack's own limits: characters of a section's text, of a header's, and blocks of a message (https://api.slack.com/reference/block-kit/blocks). */
const [mostSection, mostHeader, mostBlocks] = [3000, 150, 50];

/** Only these three are escaped (https://api.slack.com/reference/surfaces/formatting#escaping), so that nobody is called by `<!channel>`. */
function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

const section = (text: string) => ({ type: 'section', text: { type: 'mrkdwn', text: shortened(text, mostSection) } });

/** Body for an incoming webhook (https://api.slack.com/messaging/webhooks). */
export function slackBody(notice: Notice): object {
  const { alerts, more, meaning, cure, link, table, at, kind } = notice;
  const headline = headlineOf(notice);
  const words =
    kind === 'resolved'
      ? []
      : [
          meaning === '' ? '' : `*What it means:* ${escaped(meaning)}`,
          cure === '' ? '' : `*What to do:* ${escaped(cure)}`,
        ];
  const blocks = [
    { type: 'header', text: { type: 'plain_text', text: shortened(headline, mostHeader), emoji: false } },
    ...alerts.map((alert) => section(`• ${escaped(alertLine(alert, at))}`)),
    ...(more > 0 ? [section(`And ${more} more.`)] : []),
    ...(table ? [section(`\`\`\`${shortened(escaped(plainTable(table)), mostSection - 6)}\`\`\``)] : []),
    ...words.filter((text) => text !== '').map(section),
    ...(link === null ? [] : [section(`<${escaped(link)}|Look at it>`)]),
  ];
  // The text is what notifications and screen readers have.
  return { text: escaped(headline), blocks: blocks.slice(0, mostBlocks), unfurl_links: false };
}
