import { readFileSync } from 'node:fs';
import openapiTS, { astToString } from 'openapi-typescript';
import { format, resolveConfig } from 'prettier';
import { expect, test } from 'vitest';

test('the types are those of the description; `npm run api` renews them', async () => {
  const description = new URL('../../../docs/openapi.json', import.meta.url);
  const committed = new URL('./schema.d.ts', import.meta.url);
  const made = astToString(await openapiTS(description));
  const config = await resolveConfig(committed);
  const text = await format(made, { ...config, parser: 'typescript' });
  const withoutHead = (source: string): string => source.slice(source.indexOf('export interface paths'));
  expect(withoutHead(readFileSync(committed, 'utf8')) === withoutHead(text)).toBe(true);
}, 180_000);
