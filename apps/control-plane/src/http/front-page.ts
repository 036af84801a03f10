import type { FastifyInstance } from 'fastify';
import { createHash } from 'node:crypto';
import { controlPlaneVersion } from '../version.ts';

const style = `
:root { color-scheme: light dark; font: 1.0625rem/1.6 system-ui, sans-serif; }
body { margin: 0 auto; padding: 2.5rem 1.25rem; max-width: 38rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; }
pre { overflow-x: auto; padding: .75rem 1rem; border: 1px solid; border-radius: .5rem; font-size: .9375rem; }
footer { margin-top: 2rem; opacity: .8; }`;

const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>StrideIQ Backup</title>
<style>${style}</style>
<main>
<h1>StrideIQ Backup: the control plane is running</h1>
<p>There is no dashboard in this version yet. Everything can be done by the command line and by the API:</p>
<ul>
<li><a href="/api/v1/openapi.json">The API’s description</a> (OpenAPI 3.1)</li>
<li><a href="/readyz">Whether it is ready</a></li>
</ul>
<p>With a key, from any terminal:</p>
<pre>strideiq login
strideiq databases</pre>
<p>The first key is in <code>admin.key</code> in the data directory of this control plane, on its own host.</p>
</main>
<footer>Version ${controlPlaneVersion}</footer>
`;

/** Only the page's own style: no script, no image, nothing from elsewhere. */
const policy = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

/** `/`, until the dashboard is there. */
export function mountFrontPage(app: FastifyInstance): void {
  app.get('/', (_, reply) =>
    reply.header('content-security-policy', policy).type('text/html; charset=utf-8').send(page),
  );
}
