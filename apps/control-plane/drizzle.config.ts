import { defineConfig } from 'drizzle-kit';

/** `npm run migrations -w @strideiq/control-plane` writes the next migration from src/catalog/schema.ts. */
export default defineConfig({ dialect: 'sqlite', schema: './src/catalog/schema.ts', out: './src/catalog/migrations' });
