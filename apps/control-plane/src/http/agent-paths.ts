import { agentPath, enrolPath } from '@strideiq/protocol';
import type { FastifyInstance } from 'fastify';
import { problem } from '../api/problem.ts';
import type { Enrolment } from '../enrolment/enrolment.ts';
import { handleEnrol } from '../enrolment/handle-enrol.ts';
import { sendProblem } from './errors.ts';

/** Where hosts enrol. Their connections are upgrades of `agentPath`, which the gateway takes. */
export function mountAgentPaths(app: FastifyInstance, enrolment: Enrolment): void {
  app.post(enrolPath, (request) => handleEnrol(enrolment, request.body));
  // Whoever looks with a browser, or through a proxy that does not pass upgrades on.
  app.get(agentPath, (_, reply) =>
    sendProblem(
      reply,
      problem(
        'InputInvalid',
        426,
        'Agents connect here by WebSocket, and this was none. A proxy between must pass on Upgrade and Connection.',
      ),
    ),
  );
}
