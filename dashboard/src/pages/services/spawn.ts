// What a spawn is given, checked before it is sent, as the daemon would.

export type EnvRow = { key: number; name: string; value: string };

const ID = /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/;

/** What is wrong with an id, or null. */
export function idFault(id: string): string | null {
  if (id === '') return 'An id is needed: it becomes part of the address';
  if (ID.test(id.toLowerCase())) return null;
  return 'Letters, digits, ".", "_" and "-" are allowed, 63 at most, the first and last a letter or digit';
}

/** What is wrong with the name of a variable, or null; an empty row is left out and no fault. */
export function nameFault(row: EnvRow, all: readonly EnvRow[]): string | null {
  const name = row.name.trim();
  if (name === '') return row.value === '' ? null : 'The name is missing';
  if (name.includes('=') || name.includes('\0')) return 'A name has no "=" in it';
  if (all.some((other) => other.key !== row.key && other.name.trim() === name)) return 'It is there twice';
  return null;
}

export function envOf(rows: readonly EnvRow[]): Record<string, string> {
  return Object.fromEntries(
    rows.filter((row) => row.name.trim() !== '').map((row) => [row.name.trim(), row.value]),
  );
}

/** Rows from `NAME=value` lines that somebody pasted; null where it is no such text. */
export function rowsOf(text: string): { name: string; value: string }[] | null {
  const lines = text
    .split(/\r?\n/)
    .map((line) => line.trim().replace(/^export\s+/, ''))
    .filter((line) => line !== '' && !line.startsWith('#'));
  const rows = lines.map((line) => /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line));
  if (lines.length < 2 && !(lines.length === 1 && rows[0])) return null;
  if (rows.some((row) => row === null)) return null;
  return rows.flatMap((row) =>
    row === null ? [] : [{ name: row[1], value: row[2].replace(/^(["'])(.*)\1$/, '$2') }],
  );
}
