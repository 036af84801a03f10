export { makeOwnDirectory } from './own-directory.ts';
export {
  DatabaseInUse,
  DatabaseNewer,
  openDatabase,
  whileClosed,
  type OpenOptions,
  type SqliteDatabase,
} from './open-database.ts';
