import { z } from 'zod';

/** What an agent sends to trade a one-time token for a credential of its own: a POST to `enrolPath`. */
export const enrolRequestSchema = z.object({
  token: z.string().min(1).max(200),
  /** As agent.yaml says; the token is bound to one, and is not used up where they differ. */
  environment: z.string().min(1).max(200),
  hostname: z.string().min(1).max(300),
  agentVersion: z.string().min(1).max(100),
  /** Ed25519, SPKI, PEM: the control plane pins it. The same key enrolled again is the same agent. */
  publicKeyPem: z.string().min(1).max(2000),
});
export type EnrolRequest = z.infer<typeof enrolRequestSchema>;

export const enrolAnswerSchema = z.object({
  agentId: z.string(),
  environment: z.string(),
  /** Shown this once; sent as `Authorization: Bearer …` with every connection. */
  credential: z.string(),
});
export type EnrolAnswer = z.infer<typeof enrolAnswerSchema>;
