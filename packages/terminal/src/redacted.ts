/** Shorter ones would blot out half of every text. */
const shortestSecret = 4;

/** A text with every secret in it blotted out. */
export function redacted(text: string, secrets: Iterable<string>): string {
  let clean = text;
  // The longer ones first: one may hold another, and what is left of it must not stay readable.
  for (const secret of [...secrets].sort((one, other) => other.length - one.length)) {
    if (secret.length >= shortestSecret) clean = clean.replaceAll(secret, '***');
  }
  return clean;
}
