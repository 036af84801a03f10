/** For zod's `refine`: exactly one of these keys is said. */
export function holdsOneOf(
  keys: readonly string[],
): [check: (said: Record<string, unknown>) => boolean, params: { error: string }] {
  const check = (said: Record<string, unknown>) => keys.filter((key) => said[key] !== undefined).length === 1;
  return [check, { error: `must hold one of ${keys.join(', ')}` }];
}
