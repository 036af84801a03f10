import type { FastifyInstance } from 'fastify';
import type { ApiParts } from '../api/context.ts';

/** How long an answer about the catalog counts: whoever asks often must not keep the disk busy. */
const checkedForMs = 2000;

/**
 * `/healthz`: the process lives. `/readyz`: it can do its work, which is writing to the catalog and taking agents.
 * Neither needs a key.
 */
export function mountHealth(
  app: FastifyInstance,
  { catalog, now, stopping }: Pick<ApiParts, 'catalog' | 'now' | 'stopping'>,
  takesAgents: () => boolean,
): void {
  const config = { rateLimit: false as const };
  let checked: { at: number; problem: string | undefined } | undefined;

  app.get('/healthz', { config }, () => ({ status: 'ok' }));

  app.get('/readyz', { config }, (request, reply) => {
    const at = now();
    if (checked === undefined || Math.abs(at - checked.at) >= checkedForMs) {
      checked = { at, problem: writeProblem(catalog.$client) };
      if (checked.problem !== undefined)
        request.log.error({ problem: checked.problem }, 'the catalog cannot be written');
    }
    const problem = stopping.aborted ? 'stopping' : (checked.problem ?? (takesAgents() ? undefined : 'no agents yet'));
    return problem === undefined ? { status: 'ready' } : reply.code(503).send({ status: 'not ready', problem });
  });
}

/** Writes to the disk for good: a number of SQLite's own that nobody uses. */
function writeProblem(client: ApiParts['catalog']['$client']): string | undefined {
  try {
    client.pragma('user_version = 1');
    return undefined;
  } catch (error) {
    return `the catalog cannot be written (${(error as { code?: string }).code ?? 'unknown'})`;
  }
}
