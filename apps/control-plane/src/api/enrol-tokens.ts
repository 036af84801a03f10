import { z } from 'zod';
import { environmentNameSchema } from './environments.ts';
import { guarded, router } from './guarded.ts';
import { moment, momentSchema } from './moments.ts';

export const enrolTokensRouter = router({
  create: guarded({
    role: 'admin',
    scope: ({ environment }) => [environment],
    input: z.strictObject({ environment: environmentNameSchema.describe('The first token for it makes it.') }),
    output: z
      .object({
        token: z.string().describe('Shown this once, and used once.'),
        environment: z.string(),
        expiresAt: momentSchema,
      })
      .meta({ id: 'EnrolToken' }),
    rest: {
      method: 'POST',
      path: '/enroll-tokens',
      summary: 'Makes a one-time token by which a host enrols',
      status: 201,
    },
  }).mutation(({ ctx: { caller, parts }, input: { environment } }) => {
    const { token, expiresAt } = parts.enrolment.createToken({ environment, by: caller.keyId });
    return { token, environment, expiresAt: moment(expiresAt) };
  }),
});
