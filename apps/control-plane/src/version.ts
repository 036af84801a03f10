import packageJson from '../package.json' with { type: 'json' };

/** As the API and `--version` say it. */
export const controlPlaneVersion: string = packageJson.version;
