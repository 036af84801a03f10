export {
  DatabaseInUse,
  DatabaseNewer,
  openDatabase,
  whileClosed,
  type OpenOptions,
  type SqliteDatabase,
} from './open-database.ts';
