import { ControlPlane } from '../compose.ts';
import type { Command } from './run-command.ts';

/** Serves until SIGTERM or Ctrl-C; the second one ends it at once. */
export async function serve({ configuration, output, env, now }: Command): Promise<number> {
  const stop = Promise.withResolvers<NodeJS.Signals>();
  let stopping = false;
  const onSignal = (name: NodeJS.Signals) => {
    if (stopping) process.exit(130);
    stopping = true;
    stop.resolve(name);
  };
  // From the beginning: a supervisor may change its mind while it starts.
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    const controlPlane = await ControlPlane.open(configuration, { env, now });
    try {
      const url = await controlPlane.listen();
      const { adminKeyFile } = controlPlane;
      const first = adminKeyFile === undefined ? '' : `\nThe first admin's key is in ${adminKeyFile}.`;
      output.result({ url, ...(adminKeyFile === undefined ? {} : { adminKeyFile }) }, `Listening at ${url}.${first}`);
      return (await stop.promise) === 'SIGINT' ? 130 : 0;
    } finally {
      await controlPlane.close();
    }
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}
