export { openDatabase, type OpenOptions, type SqliteDatabase } from './open-database.ts';
