// Rows of variables that somebody fills in.
import { parseEnv } from './env';

export type Variable = { key: number; name: string; value: string };

/** What is wrong with the name of a row, or null; an empty row is left out and no fault. */
export function nameFault(row: Variable, all: readonly Variable[]): string | null {
  const name = row.name.trim();
  if (name === '') return row.value === '' ? null : 'The name is missing';
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return `"${name}" can't be the name of a variable`;
  if (all.some((other) => other.key !== row.key && other.name.trim() === name)) return 'It is there twice';
  return null;
}

export function envOf(rows: readonly Variable[]): Record<string, string> {
  return Object.fromEntries(
    rows.filter((row) => row.name.trim() !== '').map((row) => [row.name.trim(), row.value]),
  );
}

/** Rows from lines of a .env file that somebody pasted; null where it is none, as a mere name is. */
export function rowsOf(text: string): { name: string; value: string }[] | null {
  const read = parseEnv(text);
  if ('error' in read) return null;
  const rows = Object.entries(read.env).map(([name, value]) => ({ name, value }));
  return rows.length === 0 ? null : rows;
}
