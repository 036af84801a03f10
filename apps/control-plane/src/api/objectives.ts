import { idSchema, scenarioNames, scenarios } from '@strideiq/core';
import { z } from 'zod';
import { objectivesOf, type ScenarioReport } from '../objectives/objectives-of.ts';
import { guarded, router } from './guarded.ts';
import { moment, momentSchema } from './moments.ts';
import { environmentsOfDatabase } from './owners.ts';

const ms = z.number().nullable();

export const scenarioSchema = z
  .object({
    scenario: z.enum(scenarios as [(typeof scenarios)[number], ...typeof scenarios]),
    name: z.string().describe('As people call it.'),
    rpoMs: ms.describe('Data of so long may be lost at most. Null: no objective.'),
    dataAgeMs: ms.describe('How old the newest data are that could be restored now; null where there are none.'),
    worstDataAgeMs: ms.describe('The oldest that they were at any moment of the time that was asked for.'),
    rpoMet: z.number().nullable().describe('Share of that time at which the objective was met, 0 to 1.'),
    rtoMs: ms.describe('A restore may take so long at most. Null: no objective.'),
    restoreMs: ms.describe('What the last measured restore took; null where none was measured.'),
    worstRestoreMs: ms.describe('The longest of that time.'),
    rtoMet: z.number().nullable().describe('Share of the measured restores that met the objective, 0 to 1.'),
    days: z.array(z.object({ day: z.string(), worstMs: z.number() })).describe('The oldest data of each day (UTC).'),
    restores: z.array(z.object({ runId: z.string(), at: momentSchema, restoreMs: z.number() })),
  })
  .meta({ id: 'ObjectiveOfScenario' });
export type ShownScenario = z.infer<typeof scenarioSchema>;

const dayMs = 86_400_000;

export const objectivesRouter = router({
  report: guarded({
    role: 'viewer',
    scope: ({ databaseId }, catalog) => environmentsOfDatabase(catalog, databaseId),
    input: z.strictObject({
      databaseId: idSchema,
      days: z.coerce.number<number>().int().min(1).max(400).default(90).describe('How far back it reaches.'),
    }),
    output: z.object({ since: momentSchema, scenarios: z.array(scenarioSchema) }).meta({ id: 'Objectives' }),
    rest: {
      method: 'GET',
      path: '/databases/{databaseId}/objectives',
      summary: 'RPO and RTO of a database by scenario, beside what was measured',
    },
  }).query(({ ctx: { parts }, input: { databaseId, days } }) => {
    const to = parts.now();
    const from = to - days * dayMs;
    const found = objectivesOf(parts.catalog, databaseId, { from, to });
    return { since: moment(from), scenarios: found.map(shown) };
  }),
});

function shown({ scenario, objective, ages, restores, measuredMs }: ScenarioReport): ShownScenario {
  const { rpoMs, rtoMs } = objective;
  const took = restores.map(({ restoreMs }) => restoreMs);
  return {
    scenario,
    name: scenarioNames[scenario],
    rpoMs,
    dataAgeMs: ages.nowMs,
    worstDataAgeMs: ages.worstMs,
    rpoMet: ages.metShare,
    rtoMs,
    restoreMs: measuredMs ?? null,
    worstRestoreMs: took.length === 0 ? null : Math.max(...took),
    rtoMet: rtoMs === null || took.length === 0 ? null : took.filter((each) => each <= rtoMs).length / took.length,
    days: ages.days,
    restores: restores.map(({ runId, at, restoreMs }) => ({ runId, at: moment(at), restoreMs })),
  };
}
