import { enrolRequestSchema, type EnrolAnswer } from '@strideiq/protocol';
import { z } from 'zod';
import { ControlPlaneError } from '../errors.ts';
import type { Enrolment } from './enrolment.ts';

/**
 * `POST /agent/enrol`: the body as JSON was read, whatever it is.
 * @throws ControlPlaneError `InputInvalid`, and what `Enrolment.enrol` throws
 */
export function handleEnrol(enrolment: Enrolment, body: unknown): EnrolAnswer {
  const request = enrolRequestSchema.safeParse(body);
  if (request.success) return enrolment.enrol(request.data);
  throw new ControlPlaneError(
    'InputInvalid',
    `This is no request to enrol: ${z.prettifyError(request.error).slice(0, 2000)}.`,
    'Use a `strideiq-agent` whose version is near that of the control plane.',
  );
}
