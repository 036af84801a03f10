import { Readable } from 'node:stream';
import { NodeHttpHandler } from '@smithy/node-http-handler';

const sliceBytes = 64 * 1024;

type Handling = Parameters<NodeHttpHandler['handle']>;

/**
 * Sends a large body slice by slice, as the line takes it. Given the whole at once, Node.js encrypts the whole at once on
 * `https`, and holds it twice more until it has left: a part of 80 MiB would take 240. The body stays one buffer for all
 * that comes before, so that it is signed and has its length.
 */
export class SlicedBodies extends NodeHttpHandler {
  override async handle(request: Handling[0], options?: Handling[1]): ReturnType<NodeHttpHandler['handle']> {
    const body: unknown = request.body;
    if (!(body instanceof Uint8Array) || body.length <= sliceBytes) return await super.handle(request, options);
    // A copy, since whoever sends the request again needs its body whole.
    const sliced = request.clone();
    sliced.body = Readable.from(slicesOf(body), { objectMode: false, highWaterMark: sliceBytes });
    return await super.handle(sliced, options);
  }
}

function* slicesOf(body: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < body.length; at += sliceBytes) yield body.subarray(at, at + sliceBytes);
}
