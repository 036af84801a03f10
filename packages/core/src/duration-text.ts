/**
 * How long something took, or how old it is: `12.3 s`, `4 min 05 s`, `2 h 10 min`, `3 days 2 h`.
 * @param digits of a second
 */
export function durationText(ms: number, digits = 1): string {
  if (ms < 60_000) return `${(ms / 1000).toFixed(digits)} s`;
  const seconds = Math.round(ms / 1000);
  const two = (value: number) => String(value).padStart(2, '0');
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
  const hours = Math.floor(seconds / 3600);
  if (hours < 48) return `${hours} h ${two(Math.floor((seconds % 3600) / 60))} min`;
  return `${Math.floor(hours / 24)} days ${hours % 24} h`;
}
