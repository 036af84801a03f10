import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { createAgentRouter, type AgentHandlers } from './agent-router.ts';
import { acknowledgementSchema, commandEnvelopeSchema, commandKinds, commandSchema } from './commands.ts';
import { enrolAnswerSchema, enrolRequestSchema, isEnrolmentProof } from './enrolment.ts';
import { heartbeatAnswerSchema, heartbeatSchema } from './heartbeat.ts';
import { helloAnswerSchema, helloSchema } from './hello.ts';
import { policiesSchema } from './policies.ts';
import { progressSchema } from './progress.ts';
import { reportAnswersSchema, reportBatchSchema, reportKinds, settledSchema, type ReportKind } from './reports.ts';
import { presignedSchema, sourceUrlsRequestSchema, sourceUrlsSchema } from './source.ts';

/** A message as it was recorded: see README.md. */
interface Recorded {
  file: string;
  connection: number;
  from: 'agent' | 'control-plane';
  path?: string;
  message: { id?: number; params?: { path: string; input?: unknown }; result?: { data?: unknown } };
}

const folder = join(import.meta.dirname, '../fixtures');
const versions = readdirSync(folder);

function recordedIn(version: string): Recorded[] {
  return readdirSync(join(folder, version)).map((file) => ({
    ...(JSON.parse(readFileSync(join(folder, version, file), 'utf8')) as Omit<Recorded, 'file'>),
    file,
  }));
}

/** What is called, and what is answered. */
const procedures: Record<string, { input?: z.ZodType; output?: z.ZodType }> = {
  hello: { input: helloSchema, output: helloAnswerSchema },
  report: { input: reportBatchSchema, output: reportAnswersSchema },
  settled: { input: settledSchema },
  heartbeat: { input: heartbeatSchema, output: heartbeatAnswerSchema },
  progress: { input: progressSchema },
  acknowledge: { input: acknowledgementSchema },
  sourceUrls: { input: sourceUrlsRequestSchema, output: sourceUrlsSchema },
  presigned: { input: presignedSchema },
  commands: { output: commandSchema },
  policies: { output: policiesSchema },
};

/** What a message holds, and by which schema it is read; undefined where it holds nothing. */
function contentOf({ file, from, path, message }: Recorded): { said: unknown; schema: z.ZodType } | undefined {
  if (path !== undefined) return { said: message, schema: from === 'agent' ? enrolRequestSchema : enrolAnswerSchema };
  const isAnswer = from === 'control-plane';
  const called = isAnswer ? callOf(file) : message.params?.path;
  const procedure = procedures[called ?? ''];
  if (!procedure) throw new Error(`${file} is of no procedure`);
  const said = isAnswer ? message.result?.data : message.params?.input;
  const schema = isAnswer ? procedure.output : procedure.input;
  // Some answers say nothing but that it was done, and who subscribes has nothing to say.
  if (!schema && said === undefined) return undefined;
  if (!schema) throw new Error(`${file} says what nobody reads`);
  return { said, schema };
}

/** Which procedure an answer is to: its file is named after it, or after the command that it brings. */
function callOf(file: string): string {
  const name = file.replace(/^\d+-/, '').replace(/(-answer)?\.json$/, '');
  return name.startsWith('command-') ? 'commands' : name;
}

/** The same with a key that nobody knows in every object. */
function withMore(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withMore);
  if (typeof value !== 'object' || value === null) return value;
  return { ...Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withMore(each)])), ofLater: ['?'] };
}

/** The same without it. What is kept as it came, such as a host's policy, has kept it. */
function withoutMore(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutMore);
  if (typeof value !== 'object' || value === null) return value;
  const known = Object.entries(value).filter(([key]) => key !== 'ofLater');
  return Object.fromEntries(known.map(([key, each]) => [key, withoutMore(each)]));
}

describe.each(versions)('what %s has said', (version) => {
  const all = recordedIn(version);
  const contents = all.flatMap((recorded) => {
    const content = contentOf(recorded);
    return content ? [{ file: recorded.file, ...content }] : [];
  });

  test.each(contents)('$file is understood, all of it', ({ said, schema }) => {
    expect(schema.parse(said)).toEqual(said);
  });

  test.each(contents)('$file is understood with more in it than this version knows', ({ said, schema }) => {
    expect(withoutMore(schema.parse(withMore(said)))).toEqual(said);
  });

  test('is understood report by report, with more in it too', () => {
    const batches = contents.filter(({ schema }) => schema === reportBatchSchema);
    const reports = batches.flatMap(({ said }) => (said as z.infer<typeof reportBatchSchema>).reports);
    for (const { kind, body } of reports) {
      expect(reportKinds[kind as ReportKind].parse(body)).toEqual(body);
      expect(reportKinds[kind as ReportKind].parse(withMore(body))).toEqual(body);
    }
    expect(new Set(reports.map(({ kind }) => kind))).toEqual(new Set(Object.keys(reportKinds)));
  });

  test('proves whose key was enrolled', () => {
    const { message } = all.find(({ path, from }) => path !== undefined && from === 'agent') ?? {};
    const { proof, token, publicKeyPem } = enrolRequestSchema.parse(message);
    expect(isEnrolmentProof(proof, token, publicKeyPem)).toBe(true);
  });
});

describe('this version', () => {
  const all = versions.flatMap(recordedIn);

  test('has a recording of every procedure, its answer, and every kind of command', () => {
    const router = createAgentRouter({} as AgentHandlers<object>);
    const called = new Set(all.map(({ message }) => message.params?.path).filter(Boolean));
    expect(called).toEqual(new Set(Object.keys(router._def.procedures)));
    expect(called).toEqual(new Set(Object.keys(procedures)));
    const answered = all
      .filter(({ file }) => file.endsWith('-answer.json'))
      .map(({ file }) => file.replace(/^\d+-|-answer\.json$/g, ''));
    expect(new Set(answered)).toEqual(new Set([...called, 'enrol'].filter((name) => name !== 'commands')));
    const kinds = all.flatMap(({ message }) => commandSchema.safeParse(message.result?.data).data?.kind ?? []);
    expect(new Set(kinds)).toEqual(new Set(commandKinds));
  });

  test('takes kinds that it does not know, of reports and of commands', () => {
    const [batch] = all.flatMap(({ message }) => reportBatchSchema.safeParse(message.params?.input).data ?? []);
    const [report] = batch?.reports ?? [];
    const later = { ...report, kind: 'forecast', body: { weather: { of: ['tomorrow'] } } };
    expect(reportBatchSchema.parse({ ...batch, reports: [later] }).reports).toEqual([later]);
    const [command] = all.flatMap(({ message }) => commandSchema.safeParse(message.result?.data).data ?? []);
    const teleport = { ...command, kind: 'teleport', body: { to: 'elsewhere' } };
    expect(commandEnvelopeSchema.parse(teleport)).toEqual(teleport);
    expect(commandSchema.safeParse(teleport).success).toBe(false);
  });
});
