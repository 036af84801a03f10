import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Bytes of buffers that may come up before the young among them are looked through. */
const stepBytes = 16_000_000;
const everyMs = 20;

/**
 * Has buffers collected soon after their use. V8 counts what its own heap holds of a buffer, some hundred bytes, and looks
 * for garbage when that is worth it; the megabytes outside it weigh only once 64 MB of them have come up, and are then
 * gone through while more come: a dump that is read back at 100 MB a second held up to 100 MB that nobody needed.
 */
export function keepNurserySmall(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (options: { type: 'minor' }) => void;
  let floor = 0;
  setInterval(() => {
    const buffers = bufferBytes();
    floor = Math.min(floor, buffers);
    if (buffers < floor + stepBytes) return;
    collect({ type: 'minor' });
    floor = bufferBytes();
  }, everyMs).unref();
}

/** What stands outside the heap. `process.memoryUsage` tells it too, but reads a file of the system for it, fifty times a second. */
function bufferBytes(): number {
  return getHeapStatistics().external_memory;
}
