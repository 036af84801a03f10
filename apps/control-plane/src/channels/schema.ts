import { holdsOneOf, textSchema, variableSchema } from '@strideiq/configuration';
import { cronSchema, ruleNames, severities, timeZoneSchema } from '@strideiq/core';
import { z } from 'zod';

/** What every channel is told, and what not. */
const routes = {
  environments: z
    .array(textSchema)
    .min(1)
    .optional()
    .describe(
      'Whose alerts it is told. Left out: those of all. What is about the control plane itself is told to every channel.',
    ),
  severity: z.enum(severities).default('warning').describe('The least that it is told.'),
  rules: z.array(z.enum(ruleNames)).min(1).optional().describe('Which rules. Left out: all.'),
  digest: z
    .strictObject({
      schedule: cronSchema
        .default('0 8 * * 1')
        .describe('When: a cron line of five fields. Left out: on Mondays at eight.'),
      timezone: timeZoneSchema.default('UTC').describe('IANA time zone of that line.'),
    })
    .optional()
    .describe(
      'A proof of every database’s last backup, reading back and drill, as often as this says. Left out: none.',
    ),
};

/** A URL that holds a secret is one itself. */
const secretUrl = (what: string) => ({
  urlFile: textSchema.optional().describe(`File that holds ${what}.`),
  urlEnv: variableSchema.optional().describe(`Environment variable that holds ${what}.`),
});

const emailSchema = z.strictObject({
  type: z.literal('email').describe('email, slack, pagerDuty or webhook.'),
  ...routes,
  smtp: z
    .strictObject({
      host: textSchema.describe('Name or address of the mail server.'),
      port: z.int().min(1).max(65_535).default(587).describe('Its port.'),
      tls: z
        .enum(['starttls', 'implicit', 'none'])
        .default('starttls')
        .describe(
          'starttls (port 587) and implicit (465) send nothing in the clear; none is for a network that is trusted.',
        ),
      user: textSchema.optional().describe('Who logs in. Left out: nobody does.'),
      passwordFile: textSchema.optional().describe('File that holds the password.'),
      passwordEnv: variableSchema.optional().describe('Environment variable that holds the password.'),
      caFile: textSchema.optional().describe('A certificate authority of your own, PEM.'),
    })
    .describe('The mail server.'),
  from: z.email().describe('Address of the sender.'),
  to: z.array(z.email()).min(1).max(50).describe('Addresses of those who are told.'),
});

const slackSchema = z
  .strictObject({
    type: z.literal('slack'),
    ...routes,
    ...secretUrl('the URL of an incoming webhook'),
  })
  .refine(...holdsOneOf(['urlFile', 'urlEnv']));

const pagerDutySchema = z
  .strictObject({
    type: z.literal('pagerDuty'),
    ...routes,
    routingKeyFile: textSchema
      .optional()
      .describe('File that holds the integration key of an Events API v2 integration.'),
    routingKeyEnv: variableSchema.optional().describe('Environment variable that holds it.'),
    url: z
      .url({ protocol: /^https?$/ })
      .default('https://events.pagerduty.com/v2/enqueue')
      .describe('Where events go; of the EU region: https://events.eu.pagerduty.com/v2/enqueue.'),
  })
  .refine(...holdsOneOf(['routingKeyFile', 'routingKeyEnv']));

/** Ready-made bodies of webhooks. */
export const templateNames = ['json', 'teams', 'discord', 'telegram', 'ntfy'] as const;
export type TemplateName = (typeof templateNames)[number];

const webhookSchema = z
  .strictObject({
    type: z.literal('webhook'),
    ...routes,
    url: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe('Where it is posted to, where that holds no secret.'),
    ...secretUrl('where it is posted to'),
    secretFile: textSchema
      .optional()
      .describe('File that holds the secret by which messages are signed (Standard Webhooks, HMAC-SHA256).'),
    secretEnv: variableSchema.optional().describe('Environment variable that holds it.'),
    headers: z
      .record(z.string().regex(/^[A-Za-z0-9-]+$/), z.string().max(1000))
      .default({})
      .describe('Headers beside.'),
    headersFile: textSchema.optional().describe('File with more of them, one a line as NAME: VALUE, such as a token.'),
    template: z
      .enum(templateNames)
      .default('json')
      .describe('What is posted: json is all of it; teams, discord, telegram and ntfy as those want it.'),
    chatId: textSchema.optional().describe('With telegram: whom it is for.'),
    topic: textSchema.optional().describe('With ntfy: the topic.'),
    body: z
      .string()
      .min(1)
      .max(20_000)
      .optional()
      .describe(
        'A JSON text of your own in place of a template, in which {{title}}, {{text}}, {{severity}}, {{kind}}, {{environment}}, {{rule}}, {{link}}, {{group}} and {{id}} are filled in, inside quotation marks.',
      ),
  })
  .refine(...holdsOneOf(['url', 'urlFile', 'urlEnv']))
  .refine(({ template, chatId }) => template !== 'telegram' || chatId !== undefined, {
    error: 'telegram needs a chatId',
  })
  .refine(({ template, topic }) => template !== 'ntfy' || topic !== undefined, { error: 'ntfy needs a topic' });

/** Where alerts are told, by name. */
export const channelsSchema = z
  .record(
    z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be a name of small letters, digits and hyphens'),
    z.discriminatedUnion('type', [emailSchema, slackSchema, pagerDutySchema, webhookSchema]),
  )
  .default({});

export type ChannelConfiguration = z.output<typeof channelsSchema>[string];
export type EmailConfiguration = z.output<typeof emailSchema>;
export type SlackConfiguration = z.output<typeof slackSchema>;
export type PagerDutyConfiguration = z.output<typeof pagerDutySchema>;
export type WebhookConfiguration = z.output<typeof webhookSchema>;
