import type { Database } from '@strideiq/control-plane/router';
import type { Client } from '../connection/client.ts';
import { listAll } from '../connection/pages.ts';
import { theOne } from './choose.ts';
import { isId } from './id.ts';

/** How a database is called without doubt. */
export function databaseName({ environment, name }: Pick<Database, 'environment' | 'name'>): string {
  return `${environment}/${name}`;
}

/**
 * The database that is named by `environment/name`, by `name` where that is unique, or by its id.
 * @throws CliError `NotFound`, `NameAmbiguous`
 */
export async function findDatabase(client: Client, reference: string): Promise<Database> {
  if (isId(reference)) return client.databases.get.query({ databaseId: reference });
  const { items } = await listAll(async (page) => client.databases.list.query(page));
  return chooseDatabase(items, reference);
}

/** @throws CliError `NotFound`, `NameAmbiguous` */
export function chooseDatabase<Known extends Pick<Database, 'environment' | 'name'>>(
  databases: readonly Known[],
  reference: string,
): Known {
  return theOne('database', reference, {
    meant: databases.filter((each) => reference === (reference.includes('/') ? databaseName(each) : each.name)),
    all: databases,
    named: databaseName,
    list: 'strideiq databases',
  });
}
