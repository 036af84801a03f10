import type { Notice } from '../channels/notice.ts';

const at = Date.parse('2026-01-11T05:00:00Z');

/** A message as one is made. */
export function notice(more: Partial<Notice> = {}): Notice {
  return {
    id: '0197f2a0-0000-7000-8000-000000000001',
    group: 'production/noBackup',
    kind: 'opened',
    severity: 'critical',
    environment: 'production',
    rule: 'noBackup',
    title: 'No backup: app (production)',
    meaning: 'More would be lost than is allowed.',
    cure: 'Take one now.',
    alerts: [{ id: 'a', subject: 'app', text: 'The last one is 26 h old.', openedAt: at - 7_200_000 }],
    more: 0,
    link: 'https://backup.example.com/alerts',
    at,
    ...more,
  };
}

/** What somebody could call a database or have an error say. */
export const hostileText = `</script><b>&"' @everyone <!channel> \`\`\`*_~|[x](https://evil.example)\r\nBcc: evil@example.com\u0000 \u{1F525}${'x'.repeat(9000)}`;

/** As much as one message holds. */
export function largestNotice(more: Partial<Notice> = {}): Notice {
  const alerts = Array.from({ length: 20 }, (_, place) => ({
    id: `alert-${place}`,
    subject: hostileText,
    text: hostileText,
    openedAt: at - 60_000,
  }));
  return notice({ title: hostileText, meaning: hostileText, cure: hostileText, alerts, more: 500, ...more });
}
