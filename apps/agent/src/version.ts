import packageJson from '../package.json' with { type: 'json' };

/** As manifests and `--version` say it. */
export const agentVersion: string = packageJson.version;
