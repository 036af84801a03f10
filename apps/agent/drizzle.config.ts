import { defineConfig } from 'drizzle-kit';

/** `npm run migrations -w @strideiq/agent` writes the next migration from src/journal/schema.ts. */
export default defineConfig({ dialect: 'sqlite', schema: './src/journal/schema.ts', out: './src/journal/migrations' });
