export { confirmName } from './confirm.ts';
export { durationText } from '@strideiq/core';
export { Output, type OutputOptions } from './output.ts';
export { parseArguments } from './parse-arguments.ts';
export { ProgressLine, type ProgressStep } from './progress-line.ts';
export { redacted } from './redacted.ts';
export { table } from './table.ts';
export { displayWidth, printable } from './text.ts';
