/**
 * Whether the control plane of this container is well, by the exit code, for the image's HEALTHCHECK: the image holds no
 * curl. Asks over TLS where plain text is not spoken; the certificate is made for another name than loopback, and on
 * loopback there is nobody to mistake it for.
 */
import { get as getPlain } from 'node:http';
import { get as getOverTls } from 'node:https';

const port = /:(\d+)$/.exec(process.env.STRIDEIQ_LISTEN ?? '')?.[1] ?? '8080';
const limitMs = 2000;

/** @returns {Promise<boolean>} whether it answers 200 */
const isWell = (get, protocol) =>
  new Promise((resolve) => {
    const url = `${protocol}//127.0.0.1:${port}/healthz`;
    const request = get(url, { rejectUnauthorized: false, timeout: limitMs }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    request.once('timeout', () => request.destroy());
    request.once('error', () => resolve(false));
  });

const well = (await isWell(getPlain, 'http:')) || (await isWell(getOverTls, 'https:'));
process.exit(well ? 0 : 1);
