import { setTimeout as delay } from 'node:timers/promises';
import { CliError } from '../errors.ts';
import { isPassing, networkError } from './network-errors.ts';

export interface PatientOptions {
  /** Of the control plane, for people. */
  address: string;
  signal: AbortSignal;
  /** Told before each wait. */
  note: (text: string) => void;
  /** Milliseconds before each further try. */
  pausesMs?: readonly number[];
}

const answerTimeoutMs = 60_000;
/** However long the control plane asks to wait. */
const mostWaitMs = 30_000;

/** Statuses of a proxy whose control plane is away for a moment, and of a control plane that asks for patience. */
const passingStatuses = new Set([429, 502, 503, 504]);

/** What a request is made of, as far as tRPC's client says it. */
interface Sent {
  method?: string | undefined;
  headers?: RequestInit['headers'] | Record<string, string>;
  body?: RequestInit['body'] | FormData | Blob | Uint8Array<ArrayBuffer>;
}

type Fetch = (input: string | URL | Request, request?: Sent) => Promise<Response>;

/**
 * A `fetch` that reads the whole answer, and asks again where the network failed and asking twice does no harm: reading
 * does none, and neither does what carries an Idempotency-Key.
 * @throws CliError `Unreachable`, `CertificateUntrusted`, `AddressWrong`, `OutcomeUnknown`
 */
export function patientFetch({ address, signal, note, pausesMs = [300, 1000, 3000] }: PatientOptions): Fetch {
  return async (input, request = {}) => {
    const reads = (request.method ?? 'GET') === 'GET';
    const repeatable = reads || new Headers(request.headers).has('idempotency-key');
    for (let tries = 0; ; tries++) {
      const pauseMs = pausesMs[tries];
      const tried = await oneTry(input, request, { repeatable, signal });
      if (!tried.again || pauseMs === undefined) {
        if (tried.response) return checked(tried.response, address);
        throw networkError(tried.failure, address, !reads);
      }
      note(`${networkError(tried.failure, address, false).message} Trying again.`);
      await delay(Math.max(pauseMs, tried.waitMs), undefined, { signal });
    }
  };
}

interface Try {
  /** Absent where a proxy has answered for a control plane that is away. */
  response?: Response;
  failure?: unknown;
  /** Whether another try can go better, and does no harm. */
  again: boolean;
  /** At least so long until then, as the control plane asks. */
  waitMs: number;
}

async function oneTry(
  input: string | URL | Request,
  request: Sent,
  { repeatable, signal }: { repeatable: boolean; signal: AbortSignal },
): Promise<Try> {
  try {
    const response = await wholeAnswer(input, request, signal);
    const { status } = response;
    if (!passingStatuses.has(status)) return { response, again: false, waitMs: 0 };
    const seconds = Number(response.headers.get('retry-after') ?? 0);
    return {
      ...(isJson(response) ? { response } : {}),
      failure: new Error(`it answered ${status}`),
      again: repeatable || status === 429,
      waitMs: Number.isFinite(seconds) ? Math.min(seconds * 1000, mostWaitMs) : 0,
    };
  } catch (failure) {
    signal.throwIfAborted();
    return { failure, again: isPassing(failure, repeatable), waitMs: 0 };
  }
}

/** Read to its end here, so that an answer that breaks off is a failed try too. */
async function wholeAnswer(
  input: string | URL | Request,
  { method = 'GET', headers = {}, body = null }: Sent,
  signal: AbortSignal,
): Promise<Response> {
  const response = await fetch(input, {
    method,
    headers,
    body,
    // A redirect would send the key somewhere else, or make a GET of a POST.
    redirect: 'manual',
    signal: AbortSignal.any([signal, AbortSignal.timeout(answerTimeoutMs)]),
  });
  const text = await response.text();
  const { status } = response;
  return new Response([204, 205, 304].includes(status) ? null : text, { status, headers: response.headers });
}

function isJson(response: Response): boolean {
  return /^application\/(?:[\w.-]+\+)?json\b/.test(response.headers.get('content-type') ?? '');
}

/** @throws CliError `AddressWrong` where something else than a control plane has answered */
function checked(response: Response, address: string): Response {
  if (isJson(response)) return response;
  const { status } = response;
  const to = response.headers.get('location');
  throw new CliError(
    'AddressWrong',
    to === null
      ? `${address} answered ${status}, and not as a control plane does.`
      : `${address} answered ${status} and points to ${to}.`,
    to === null
      ? 'Check the address, and what a proxy before it does with /trpc.'
      : 'Log in with the address where the control plane itself is.',
  );
}
