import { didYouMean, nearest, type UnplacedProblem } from '@strideiq/configuration';
import { isLoopback, isTimeZone } from '@strideiq/core';
import { saidByUrl } from './connection.ts';
import { postgresUrlCure, readPostgresUrl } from './postgres-url.ts';
import { fillPlace, placeholders } from './stores.ts';

type Mapping = Record<string, unknown>;

/**
 * What keys have to say together. Works on the document as it was read, not on what the schema made of it, so that
 * these problems are told in one go with the schema's own; what is of the wrong type is passed over here.
 */
export function crossChecks(document: unknown): UnplacedProblem[] {
  const root = mapping(document);
  return [
    ...controlPlaneProblems(mapping(root['controlPlane'])),
    ...Object.entries(mapping(root['stores'])).flatMap(([name, store]) =>
      storeProblems(['stores', name], mapping(store)),
    ),
    ...databasesProblems(root),
    ...placeProblems(root),
  ];
}

function controlPlaneProblems(controlPlane: Mapping): UnplacedProblem[] {
  const url = text(controlPlane['url']);
  if (!url?.startsWith('http://') || controlPlane['allowPlainText'] === true || !URL.canParse(url)) return [];
  if (isLoopback(new URL(url).hostname)) return [];
  return [
    {
      path: ['controlPlane', 'url'],
      what: 'is not encrypted: http:// to another host lets anyone on the way read the agent’s credential',
      cure: 'Use https://, or say allowPlainText: true beside it where the network itself is trusted.',
    },
  ];
}

function storeProblems(path: string[], store: Mapping): UnplacedProblem[] {
  const problems: UnplacedProblem[] = [];
  for (const key of ['path', 'prefix']) {
    for (const [whole, inner = ''] of (text(store[key]) ?? '').matchAll(/\{([^{}]*)\}/g)) {
      if ((placeholders as readonly string[]).includes(inner)) continue;
      const meant = nearest(inner, placeholders);
      const cure =
        meant === undefined ? 'Only {environment} and {database} can stand here.' : `Did you mean {${meant}}?`;
      problems.push({ path: [...path, key], what: `holds ${whole}, which stands for nothing`, cure });
    }
  }
  if (store['sseKmsKeyId'] !== undefined && !text(store['sse'])?.startsWith('aws:kms')) {
    problems.push({
      path: [...path, 'sseKmsKeyId'],
      what: 'has no effect without sse: aws:kms',
      cure: 'Add sse: aws:kms beside it.',
    });
  }
  return [...problems, ...credentialsProblems([...path, 'credentials'], mapping(store['credentials']))];
}

function credentialsProblems(path: string[], credentials: Mapping): UnplacedProblem[] {
  const given = (key: string): boolean =>
    credentials[`${key}File`] !== undefined || credentials[`${key}Env`] !== undefined;
  const problems = ['accessKeyId', 'secretAccessKey', 'sessionToken'].flatMap((key) =>
    exclusive(path, credentials, [`${key}File`, `${key}Env`]),
  );
  const [id, secret] = [given('accessKeyId'), given('secretAccessKey')];
  if (id !== secret) {
    const missing = id ? 'secretAccessKey' : 'accessKeyId';
    problems.push({ path, what: `lacks ${missing}File or ${missing}Env`, cure: 'Id and secret go together.' });
  }
  if (credentials['profile'] !== undefined && (id || secret)) {
    problems.push({ path: [...path, 'profile'], what: 'cannot stand beside keys', cure: 'Keep one of the two.' });
  }
  return problems;
}

function databasesProblems(root: Mapping): UnplacedProblem[] {
  const stores = Object.keys(mapping(root['stores']));
  const databases = Object.entries(mapping(root['databases']));
  if (isMapping(root['databases']) && databases.length === 0) {
    return [{ path: ['databases'], what: 'names no database', cure: 'Add one: running_app: { stores: [local] }.' }];
  }
  return databases.flatMap(([name, value]) => {
    const path = ['databases', name];
    const database = mapping(value);
    return [
      ...storeListProblems(path, database, stores),
      ...connectionProblems([...path, 'connection'], mapping(database['connection'])),
      ...zoneProblems(path, database),
      ...excludeProblems(path, database),
      ...drillProblems(
        path,
        database,
        databases.map(([each]) => each),
      ),
      ...heartbeatProblems(path, database),
      ...['beforeSwap', 'afterSwap', 'afterRestore'].flatMap((hook) =>
        commandProblems([...path, 'hooks', hook], mapping(database['hooks'])[hook]),
      ),
      ...['exec', 'execConnect'].flatMap((key) =>
        commandProblems([...path, 'dump', key], mapping(database['dump'])[key]),
      ),
    ];
  });
}

function excludeProblems(path: string[], database: Mapping): UnplacedProblem[] {
  if (database['exclude'] === undefined || database['include'] !== undefined) return [];
  const cure = 'Add include: all beside it, where this entry is to stand for all databases of its server.';
  return [{ path: [...path, 'exclude'], what: 'has no effect without include: all', cure }];
}

function drillProblems(path: string[], database: Mapping, databases: string[]): UnplacedProblem[] {
  const via = text(mapping(database['drill'])['via']);
  if (via === undefined || databases.includes(via)) return [];
  const what = `names ${JSON.stringify(via)}, which is not under databases`;
  const cure = didYouMean(via, databases) || `There are: ${databases.join(', ')}.`;
  return [{ path: [...path, 'drill', 'via'], what, cure }];
}

/** A silence of one of them would not be heard beside the others. */
function heartbeatProblems(path: string[], database: Mapping): UnplacedProblem[] {
  const url = text(mapping(database['heartbeat'])['url']);
  if (database['include'] !== 'all' || url === undefined || url.includes('{database}')) return [];
  const what = 'is one heartbeat for all databases of a server';
  return [{ path: [...path, 'heartbeat', 'url'], what, cure: 'Put {database} into it, so that each has its own.' }];
}

function storeListProblems(path: string[], database: Mapping, stores: string[]): UnplacedProblem[] {
  const problems: UnplacedProblem[] = [];
  const named = list(database['stores']);
  for (const [at, store] of named.entries()) {
    if (typeof store !== 'string') continue;
    if (named.indexOf(store) < at) {
      problems.push({
        path: [...path, 'stores', at],
        what: `names the store ${store} twice`,
        cure: 'Keep one of the two.',
      });
    } else if (!stores.includes(store)) {
      const cure =
        didYouMean(store, stores) ||
        `There ${stores.length === 0 ? 'is none yet: add it' : `are: ${stores.join(', ')}. Or add it`} under stores.`;
      problems.push({
        path: [...path, 'stores', at],
        what: `names the store ${JSON.stringify(store)}, which is not under stores`,
        cure,
      });
    }
  }
  for (const [at, line] of list(database['schedule']).entries()) {
    for (const store of list(mapping(line)['stores'])) {
      if (typeof store !== 'string' || named.includes(store)) continue;
      const names = named.filter((each) => typeof each === 'string');
      problems.push({
        path: [...path, 'schedule', at, 'stores'],
        what: `names ${JSON.stringify(store)}, which is no store of this database`,
        cure: didYouMean(store, names) || 'Add it to stores here, or leave it out.',
      });
    }
  }
  for (const [store, rules] of Object.entries(mapping(database['retention']))) {
    if (isMapping(rules) && Object.keys(rules).length === 0) {
      problems.push({
        path: [...path, 'retention', store],
        what: 'holds no rule',
        cure: 'Say { days: 7 }, or leave it out.',
      });
    }
    if (named.includes(store)) continue;
    const cure =
      didYouMean(
        store,
        named.filter((each) => typeof each === 'string'),
      ) || 'Add it to stores here, or leave it out.';
    problems.push({ path: [...path, 'retention', store], what: 'is no store of this database', cure });
  }
  return problems;
}

function connectionProblems(path: string[], connection: Mapping): UnplacedProblem[] {
  const problems = [
    ...exclusive(path, connection, ['url', 'urlFile', 'urlEnv']),
    ...exclusive(path, connection, ['passwordFile', 'passwordEnv']),
  ];
  const url = ['url', 'urlFile', 'urlEnv'].find((key) => connection[key] !== undefined);
  for (const key of url === undefined ? [] : saidByUrl) {
    if (connection[key] === undefined) continue;
    problems.push({
      path: [...path, key],
      what: `stands beside ${url}, which says it already`,
      cure: 'Keep one of the two.',
    });
  }
  const given = text(connection['url']);
  const read = given === undefined ? undefined : readPostgresUrl(given);
  if (read?.password !== undefined) {
    problems.push({
      path: [...path, 'url'],
      what: 'holds a password, and secrets do not stand in this file',
      cure: 'Take it out and add passwordFile or passwordEnv, or move the whole URL to a file and name it by urlFile.',
    });
  } else if (given !== undefined && read === undefined) {
    problems.push({ path: [...path, 'url'], what: 'cannot be read as a URL', cure: postgresUrlCure });
  } else if (read !== undefined && read.unknown.length > 0) {
    const what = `holds what is not known here: ${read.unknown.join(', ')}`;
    problems.push({ path: [...path, 'url'], what, cure: 'Leave it out.' });
  }
  return problems;
}

function zoneProblems(path: string[], database: Mapping): UnplacedProblem[] {
  const zone = text(database['timezone']);
  // The schema says that it is wrong; here is only what was meant.
  if (zone === undefined || isTimeZone(zone)) return [];
  const meant = nearest(zone, Intl.supportedValuesOf('timeZone'));
  return meant === undefined
    ? []
    : [{ path: [...path, 'timezone'], what: 'is not known', cure: `Did you mean ${meant}?` }];
}

/** One word with a blank in it is a whole command line, meant for a shell that does not come. */
function commandProblems(path: string[], value: unknown): UnplacedProblem[] {
  const commands = list(value);
  return (commands.some(Array.isArray) ? commands : [commands]).flatMap((command, at) => {
    const [word, ...more] = list(command);
    if (typeof word !== 'string' || more.length > 0 || !/\s/.test(word.trim())) return [];
    return [
      {
        path: commands.some(Array.isArray) ? [...path, at] : path,
        what: 'is one word with blanks in it, and no shell takes it apart',
        cure: `Write [${word.trim().split(/\s+/).join(', ')}], or [bash, -c, "…"] where a shell is needed.`,
      },
    ];
  });
}

/** No two databases may share a place, nor two stores of one database: their objects would mix. */
function placeProblems(root: Mapping): UnplacedProblem[] {
  const environment = text(root['environment']) ?? '';
  const stores = mapping(root['stores']);
  const owners = new Map<string, { database: string; store: string }>();
  return Object.entries(mapping(root['databases'])).flatMap(([database, value]) =>
    list(mapping(value)['stores']).flatMap((store, at): UnplacedProblem[] => {
      if (typeof store !== 'string') return [];
      if (mapping(value)['include'] === 'all') {
        return sharedPlaceProblems(['databases', database, 'stores', at], store, mapping(stores[store]));
      }
      const place = placeOf(mapping(stores[store]), environment, database);
      if (place === undefined) return [];
      const owner = owners.get(place);
      if (owner === undefined) owners.set(place, { database, store });
      if (owner === undefined || (owner.database === database && owner.store === store)) return [];
      const key = mapping(stores[store])['type'] === 's3' ? 'prefix' : 'path';
      const cure =
        owner.database === database
          ? 'Name one of the two.'
          : `One place holds one database: put {database} into stores.${store}.${key}.`;
      const what = `puts ${database} where ${owner.database} is kept already (store ${owner.store})`;
      return [
        {
          path: ['databases', database, 'stores', at],
          what: owner.database === database ? `puts it twice into one place (store ${owner.store})` : what,
          cure,
        },
      ];
    }),
  );
}

/** What all databases of a server are put into needs a place for each of them. */
function sharedPlaceProblems(path: PropertyKey[], name: string, store: Mapping): UnplacedProblem[] {
  const key = store['type'] === 's3' ? 'prefix' : 'path';
  const place =
    text(store[key]) ?? (key === 'prefix' && isMapping(store) && store['type'] !== undefined ? '' : undefined);
  if (place === undefined || place.includes('{database}')) return [];
  return [
    {
      path,
      what: `puts all databases of a server into one place (store ${name})`,
      cure: `One place holds one database: put {database} into stores.${name}.${key}.`,
    },
  ];
}

function placeOf(store: Mapping, environment: string, database: string): string | undefined {
  const place = store['type'] === 's3' ? (text(store['prefix']) ?? '') : text(store['path']);
  if (place === undefined) return undefined;
  const filled = fillPlace(place, environment, database).replace(/\/+$/, '');
  return JSON.stringify(
    store['type'] === 's3' ? ['s3', store['endpoint'], store['bucket'], filled.replace(/^\/+/, '')] : [filled],
  );
}

function exclusive(path: string[], holder: Mapping, keys: readonly string[]): UnplacedProblem[] {
  const given = keys.filter((key) => holder[key] !== undefined);
  return given
    .slice(1)
    .map((key) => ({ path: [...path, key], what: `stands beside ${given[0]}`, cure: 'Keep one of the two.' }));
}

function isMapping(value: unknown): value is Mapping {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function mapping(value: unknown): Mapping {
  return isMapping(value) ? value : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
