const units = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** A size for people, in units of 1000: `512 bytes`, `3.2 GB`. */
export function sizeText(bytes: number): string {
  let [value, unit] = [bytes, 0];
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
