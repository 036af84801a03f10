/** A moment of the wire as people read it: `2026-01-11 03:00:00 UTC`. */
export function momentText(iso: string | null): string {
  return iso === null ? '-' : `${iso.slice(0, 19).replace('T', ' ')} UTC`;
}
