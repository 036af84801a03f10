import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { hostileText, largestNotice, notice } from '../testing/notices.ts';
import { startReceiver, type Receiver } from '../testing/receiver.ts';
import { ChannelFailed } from './channel-failed.ts';
import type { Notice } from './notice.ts';
import { openChannel } from './open-channel.ts';
import { channelsSchema, templateNames } from './schema.ts';

let receiver: Receiver;
let directory: string;
const secrets = new Set<string>();
beforeEach(async () => {
  receiver = await startReceiver();
  directory = mkdtempSync(join(tmpdir(), 'strideiq-channels-'));
  secrets.clear();
});
afterEach(async () => {
  await receiver.stop();
  rmSync(directory, { recursive: true, force: true });
});

function file(name: string, content: string): string {
  const path = join(directory, name);
  writeFileSync(path, `${content}\n`);
  return path;
}

function open(said: object) {
  const { team } = channelsSchema.parse({ team: said });
  if (!team) throw new Error('it is there');
  return openChannel('team', team, { env: {}, now: Date.now, secrets, allowPlainText: false });
}
const send = async (said: object, what: Notice = notice()) => open(said).send(what, AbortSignal.timeout(60_000));
const failure = async (said: object, what?: Notice): Promise<ChannelFailed> => {
  const error = await send(said, what).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(ChannelFailed);
  return error as ChannelFailed;
};
const only = <T>(schema: z.ZodType<T>): T => {
  expect(receiver.received).toHaveLength(1);
  return schema.parse(receiver.bodies()[0]);
};

/** Whatever is in a message: what came is what the service documents, also at its largest. */
const cases: [string, Notice][] = [
  ['opened', notice()],
  ['reminder', notice({ kind: 'reminder', severity: 'warning' })],
  [
    'resolved',
    notice({ kind: 'resolved', alerts: [{ id: 'a', subject: 'app', text: 'x', openedAt: 1000, resolvedAt: 61_000 }] }),
  ],
  ['test', notice({ kind: 'test', severity: 'info', alerts: [], link: null, rule: null, environment: null })],
  [
    'digest',
    notice({
      kind: 'digest',
      severity: 'info',
      alerts: [],
      table: {
        head: ['DATABASE', 'LAST'],
        rows: [
          ['a', '1 h'],
          [hostileText, 'never'],
        ],
      },
    }),
  ],
  ['the largest', largestNotice()],
  [
    'the largest digest',
    largestNotice({
      kind: 'digest',
      table: { head: ['A', 'B'], rows: Array.from({ length: 300 }, () => ['database', 'x'.repeat(80)]) },
    }),
  ],
];

/**
 * Incoming webhooks (https://api.slack.com/messaging/webhooks), blocks and their limits
 * (https://api.slack.com/reference/block-kit/blocks): 50 blocks, 150 characters of a header, 3000 of a section's text.
 */
const slackSchema = z.strictObject({
  text: z.string().min(1),
  unfurl_links: z.boolean(),
  blocks: z
    .array(
      z.discriminatedUnion('type', [
        z.strictObject({
          type: z.literal('header'),
          text: z.strictObject({ type: z.literal('plain_text'), text: z.string().min(1).max(150), emoji: z.boolean() }),
        }),
        z.strictObject({
          type: z.literal('section'),
          text: z.strictObject({ type: z.literal('mrkdwn'), text: z.string().min(1).max(3000) }),
        }),
      ]),
    )
    .max(50),
});

describe('Slack', () => {
  const said = () => ({ type: 'slack', urlFile: file('url', `${receiver.url}/services/T0/B0/secret`) });

  test.each(cases)('%s', async (_, what) => {
    await send(said(), what);
    const { blocks } = only(slackSchema);
    expect(receiver.received[0]).toMatchObject({ method: 'POST', path: '/services/T0/B0/secret' });
    expect(receiver.received[0]?.headers['content-type']).toBe('application/json');
    // Nobody is called, and no link is anybody else's (https://api.slack.com/reference/surfaces/formatting).
    // What is plain text is not read for such things.
    const texts = blocks.flatMap(({ type, text }) => (type === 'section' ? [text.text] : [])).join('\n');
    expect(texts).not.toMatch(/<(?!https:\/\/backup\.example\.com\/alerts\|)/);
  });

  test('says what, since when, what it means and what to do, with a link', async () => {
    await send(said());
    const texts = only(slackSchema).blocks.map(({ text }) => text.text);
    expect(texts).toEqual([
      '[CRITICAL] No backup: app (production)',
      '• app: The last one is 26 h old. Since 2026-01-11 03:00 UTC, for 2 h 00 min.',
      '*What it means:* More would be lost than is allowed.',
      '*What to do:* Take one now.',
      '<https://backup.example.com/alerts|Look at it>',
    ]);
  });
});

/** Events API v2 (https://developer.pagerduty.com/docs/events-api-v2/trigger-events/). */
const pagerDutySchema = z.discriminatedUnion('event_action', [
  z.strictObject({
    routing_key: z.string().length(32),
    event_action: z.literal('trigger'),
    dedup_key: z.string().min(1).max(255),
    payload: z.strictObject({
      summary: z.string().min(1).max(1024),
      source: z.string().min(1),
      severity: z.enum(['critical', 'error', 'warning', 'info']),
      timestamp: z.iso.datetime(),
      component: z.string(),
      group: z.string(),
      class: z.string(),
      custom_details: z.record(z.string(), z.unknown()),
    }),
    client: z.string(),
    client_url: z.url().optional(),
    links: z.array(z.strictObject({ href: z.url(), text: z.string() })).optional(),
  }),
  z.strictObject({
    routing_key: z.string().length(32),
    event_action: z.literal('resolve'),
    dedup_key: z.string().min(1).max(255),
  }),
]);

describe('PagerDuty', () => {
  const key = 'R0123456789ABCDEF0123456789ABCDE';
  const said = () => ({ type: 'pagerDuty', routingKeyFile: file('key', key), url: `${receiver.url}/v2/enqueue` });
  const events = () => receiver.bodies().map((body) => pagerDutySchema.parse(body));

  test.each(cases)('%s', async (_, what) => {
    receiver.state.answer = (response) =>
      response.writeHead(202).end('{"status":"success","message":"Event processed","dedup_key":"x"}');
    await send(said(), what);
    const actions = events().map(({ event_action }) => event_action);
    const expected: Record<string, string[]> = { digest: [], test: ['trigger', 'resolve'], resolved: ['resolve'] };
    expect(actions).toEqual(expected[what.kind] ?? ['trigger']);
    expect(JSON.stringify(events()).length).toBeLessThan(512 * 1024);
  });

  test('all messages of one trouble are one incident', async () => {
    await send(said());
    await send(said(), notice({ kind: 'reminder' }));
    await send(said(), notice({ kind: 'resolved' }));
    expect(new Set(events().map(({ dedup_key }) => dedup_key))).toEqual(new Set(['strideiq/production/noBackup']));
  });

  test('a key that it does not know is not tried again', async () => {
    receiver.state.answer = (response) =>
      response
        .writeHead(400)
        .end(
          `{"status":"invalid event","message":"Event object is invalid","errors":["'routing_key' is invalid: ${key}"]}`,
        );
    const error = await failure(said());
    expect(error.isWorthAnother).toBe(false);
    expect(error.message).toContain('Event object is invalid');
    expect(error.message).not.toContain(key);
  });
});

/** Bodies of webhooks, by the service that each template is for. */
const templateSchemas: Record<(typeof templateNames)[number], z.ZodType> = {
  json: z.looseObject({
    id: z.string(),
    group: z.string(),
    kind: z.string(),
    severity: z.string(),
    title: z.string(),
    at: z.iso.datetime(),
  }),
  /** A message with an Adaptive Card (https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-reference), of 28 KB at most. */
  teams: z.strictObject({
    type: z.literal('message'),
    attachments: z
      .array(
        z.strictObject({
          contentType: z.literal('application/vnd.microsoft.card.adaptive'),
          content: z.strictObject({
            $schema: z.literal('http://adaptivecards.io/schemas/adaptive-card.json'),
            type: z.literal('AdaptiveCard'),
            version: z.literal('1.4'),
            body: z
              .array(z.looseObject({ type: z.literal('TextBlock'), text: z.string(), wrap: z.literal(true) }))
              .min(1),
            actions: z
              .array(z.strictObject({ type: z.literal('Action.OpenUrl'), title: z.string(), url: z.url() }))
              .optional(),
          }),
        }),
      )
      .length(1),
  }),
  /** Execute Webhook, and an embed's limits (https://discord.com/developers/docs/resources/webhook#execute-webhook, …/message#embed-object-embed-limits). */
  discord: z.strictObject({
    username: z.string().min(1).max(80),
    allowed_mentions: z.strictObject({ parse: z.array(z.string()).length(0) }),
    embeds: z
      .array(
        z.strictObject({
          title: z.string().min(1).max(256),
          description: z.string().max(4096),
          color: z.int().min(0).max(0xff_ff_ff),
          timestamp: z.iso.datetime(),
          url: z.url().optional(),
        }),
      )
      .min(1)
      .max(10),
  }),
  /** sendMessage (https://core.telegram.org/bots/api#sendmessage): 1 to 4096 characters after the entities are read. */
  telegram: z.strictObject({
    chat_id: z.literal('-100123'),
    text: z.string().refine((text) => {
      const read = text.replaceAll(/<\/?b>/g, '').replaceAll(/&(?:lt|gt|amp|quot|#39);/g, 'x');
      return read.length >= 1 && read.length <= 4096 && !/[<>]/.test(read);
    }),
    parse_mode: z.literal('HTML'),
    link_preview_options: z.strictObject({ is_disabled: z.literal(true) }),
  }),
  /** Publish as JSON (https://docs.ntfy.sh/publish/#publish-as-json): messages of 4096 bytes at most, priorities 1 to 5. */
  ntfy: z.strictObject({
    topic: z.literal('backups'),
    title: z.string().min(1).max(250),
    message: z.string().refine((text) => text !== '' && Buffer.byteLength(text) <= 4096),
    priority: z.int().min(1).max(5),
    tags: z.array(z.string()),
    click: z.url().optional(),
  }),
};

describe.each(templateNames)('the template %s', (template) => {
  const said = () => ({ type: 'webhook', url: `${receiver.url}/hook`, template, chatId: '-100123', topic: 'backups' });

  test.each(cases)('%s', async (_, what) => {
    await send(said(), what);
    only(templateSchemas[template]);
    const most = template === 'json' ? 1024 * 1024 : 28 * 1024;
    expect(receiver.received[0]?.body.length).toBeLessThan(most);
  });
});

describe('a webhook', () => {
  test('is signed so that its receiver can tell who sent it', async () => {
    const key = Buffer.from('a secret of twenty-four b');
    const said = { type: 'webhook', url: receiver.url, secretFile: file('secret', `whsec_${key.toString('base64')}`) };
    await send(said);
    const [{ headers, body } = expect.unreachable()] = receiver.received;
    const [id, timestamp] = [String(headers['webhook-id']), String(headers['webhook-timestamp'])];
    // As the specification says (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
    const expected = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
    expect(headers['webhook-signature']).toBe(`v1,${expected}`);
    expect(Math.abs(Number(timestamp) - Date.now() / 1000)).toBeLessThan(60);
    expect(id).toBe(notice().id);
  });

  test('takes headers of its own, and those of a file are secret', async () => {
    const headersFile = file('headers', '# a token\nAuthorization: Bearer tk_secret');
    await send({ type: 'webhook', url: receiver.url, headers: { 'X-Team': 'db' }, headersFile });
    expect(receiver.received[0]?.headers).toMatchObject({ authorization: 'Bearer tk_secret', 'x-team': 'db' });
    expect(secrets).toContain('Bearer tk_secret');
  });

  test('takes a text of its own, in which whatever is filled in stays inside its place', async () => {
    const body = '{"a": "{{title}}", "b": "{{ text }}", "c": "{{nothing}}"}';
    await send({ type: 'webhook', url: receiver.url, body }, largestNotice());
    const [got] = receiver.bodies();
    expect(Object.keys(got ?? {})).toEqual(['a', 'b', 'c']);
    expect(got?.['c']).toBe('{{nothing}}');
    expect(got?.['b']).toContain('</script>');
  });
});

describe('whatever goes wrong', () => {
  const said = () => ({ type: 'slack', urlFile: file('url', `${receiver.url}/services/T0/B0/very-secret`) });

  test.each([
    [500, true],
    [503, true],
    [429, true],
    [408, true],
    [400, false],
    [403, false],
    [404, false],
    [301, false],
  ])('an answer of %i: worth another attempt is %s', async (status, isWorthAnother) => {
    receiver.state.answer = (response) =>
      response.writeHead(status, { location: 'http://127.0.0.1:1/', 'retry-after': '7' }).end('no');
    const error = await failure(said());
    expect(error.isWorthAnother).toBe(isWorthAnother);
    expect(error.retryAfterMs).toBe(7000);
    expect(error.message).toContain(`answered ${status}: no`);
    expect(receiver.received).toHaveLength(1);
  });

  test('a date says when to come again', async () => {
    const at = new Date(Date.now() + 60_000).toUTCString();
    receiver.state.answer = (response) => response.writeHead(429, { 'retry-after': at }).end();
    expect((await failure(said())).retryAfterMs).toBeGreaterThan(50_000);
  });

  test('a connection that is cut, or never answered before somebody stops', async () => {
    receiver.state.answer = (response) => response.destroy();
    expect((await failure(said())).isWorthAnother).toBe(true);
    receiver.state.answer = () => {};
    const stop = new AbortController();
    const sending = open(said()).send(notice(), stop.signal);
    stop.abort(new Error('enough'));
    await expect(sending).rejects.toThrow('enough');
  });

  test('a secret that is not there is told by its file, and may be there later', async () => {
    const error = await failure({ type: 'slack', urlFile: join(directory, 'none') });
    expect(error).toMatchObject({
      isWorthAnother: true,
      message: expect.stringContaining(join(directory, 'none')) as string,
    });
  });

  test('nothing is told in the clear beyond this host', async () => {
    const error = await failure({ type: 'webhook', url: 'http://192.0.2.1/hook' });
    expect(error).toMatchObject({ isWorthAnother: false, message: expect.stringContaining('use https') as string });
  });

  test('no error holds the secret', async () => {
    receiver.state.answer = (response) => response.writeHead(500).end(`no such hook: /services/T0/B0/very-secret`);
    const error = await failure({ type: 'webhook', urlFile: file('hook', `${receiver.url}/very-secret`) });
    expect(error.message).toContain('no such hook');
    const url = await failure(said());
    expect(url.message).not.toContain(`${receiver.url}/services/T0/B0/very-secret`);
  });
});

describe('who is told of what', () => {
  const route = (more: object) => open({ type: 'slack', urlEnv: 'X', ...more });
  const about = { environment: 'production', severity: 'warning', rule: 'noBackup' } as const;

  test.each([
    [{}, about, true],
    [{}, { ...about, severity: 'info' } as const, false],
    [{ severity: 'critical' }, about, false],
    [{ environments: ['staging'] }, about, false],
    [{ environments: ['staging'] }, { ...about, environment: null }, true],
    [{ rules: ['drift'] }, about, false],
    [{ rules: ['drift', 'noBackup'] }, about, true],
  ])('%o takes %o: %s', (more, told, takes) => {
    expect(route(more).takes(told)).toBe(takes);
  });
});

test('a service that only takes the connection and says nothing is given up', { timeout: 30_000 }, async () => {
  const silent: Server = createServer(() => {}).listen(0, '127.0.0.1');
  await new Promise((resolve) => silent.once('listening', resolve));
  const { port } = silent.address() as { port: number };
  const error = await failure({ type: 'webhook', url: `http://127.0.0.1:${port}` });
  expect(error.isWorthAnother).toBe(true);
  silent.close();
});
