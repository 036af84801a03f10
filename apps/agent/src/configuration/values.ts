import { z } from 'zod';

/** Kinds of value that only the host's file has, each with what would be right in its message. */

/** A program and its arguments, each word an item of its own; nothing of it passes through a shell. */
export const commandSchema = z.array(z.string(), {
  error: 'must be a list of words, such as [docker, compose, stop, api]',
});
