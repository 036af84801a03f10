import { idSchema } from '@strideiq/core';

/** Whether somebody named a thing by its id. */
export function isId(reference: string): boolean {
  return idSchema.safeParse(reference).success;
}
