import type { RuleName, Severity } from './rules.ts';

/** What a rule says of a subject at one moment. */
export interface Judgement {
  rule: RuleName;
  /** Of one kind with others of the rule: `database:ID`, `store:ID`, `agent:ID` … */
  subject: string;
  /** `unknown`: nobody can say just now, and what was said before stays. */
  holds: boolean | 'unknown';
  /** Left out: the rule's own. */
  severity?: Severity;
  /** What is so, as sentences for people; empty where it does not hold. */
  text: string;
}

/** Why something holds, for people; undefined where it does not. No such text is `unknown` alone. */
export type Verdict = string | undefined;

export function judgement(rule: RuleName, subject: string, verdict: Verdict): Judgement {
  if (verdict === 'unknown') return { rule, subject, holds: 'unknown', text: '' };
  return { rule, subject, holds: verdict !== undefined, text: verdict ?? '' };
}
