export * from './errors.ts';
export * from './ids.ts';
export * from './inventory.ts';
export * from './loopback.ts';
export * from './manifest.ts';
export * from './object-names.ts';
export * from './signature.ts';
export * from './states.ts';
