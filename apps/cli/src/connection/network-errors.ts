import { codeOf, paragraphOf } from '@strideiq/core';
import { CliError } from '../errors.ts';

/** What never reached the control plane: nothing can have happened there. */
const neverSent = new Set(['ECONNREFUSED', 'EAI_AGAIN', 'ENETUNREACH', 'EHOSTUNREACH', 'UND_ERR_CONNECT_TIMEOUT']);

/** Wrong for good: asking again changes nothing. */
const lasting = /^(ENOTFOUND|ERR_INVALID_URL|ERR_SSL_|ERR_TLS_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|EPROTO)/;

/** What undici says of a server's answer is in the cause of its `fetch failed`. */
function causeOf(error: unknown): unknown {
  return error instanceof Error && error.message === 'fetch failed' && error.cause !== undefined ? error.cause : error;
}

function networkCodeOf(error: unknown): string {
  const cause = causeOf(error);
  // Several addresses were tried.
  if (cause instanceof AggregateError && cause.errors.length > 0) return codeOf(cause.errors[0]);
  return cause instanceof Error && cause.name === 'TimeoutError' ? 'ETIMEDOUT' : codeOf(cause);
}

/** Whether another try can go better. @param repeatable whether doing it twice does it once */
export function isPassing(error: unknown, repeatable: boolean): boolean {
  const code = networkCodeOf(error);
  return !lasting.test(code) && (repeatable || neverSent.has(code));
}

/** What a failed call means to a person. @param changes whether it may have changed something */
export function networkError(error: unknown, address: string, changes: boolean): CliError {
  const code = networkCodeOf(error);
  const why = paragraphOf(causeOf(error)) || code;
  if (code !== 'ENOTFOUND' && lasting.test(code)) {
    return new CliError(
      'CertificateUntrusted',
      `No trusted connection to ${address} can be made: ${why} (${code}).`,
      'Where it has a certificate authority of its own, name that by --ca FILE; check also that the address is https where the server is.',
      { cause: error },
    );
  }
  if (changes && !neverSent.has(code) && code !== 'ENOTFOUND') {
    return new CliError(
      'OutcomeUnknown',
      `The connection to ${address} broke off before the answer came (${why}): whether it was done is not known.`,
      'Look at what is there before you ask again.',
      { cause: error },
    );
  }
  return new CliError('Unreachable', `The control plane at ${address} cannot be reached: ${why}.`, cureOf(code), {
    cause: error,
  });
}

function cureOf(code: string): string {
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'Check the address for a slip, and that DNS works here.';
  if (code === 'ECONNREFUSED') {
    return 'Nothing listens there: check host and port, and that strideiq-control-plane runs (STRIDEIQ_LISTEN says where).';
  }
  return 'Check that strideiq-control-plane runs and that no firewall stands between; its log tells what it saw.';
}
