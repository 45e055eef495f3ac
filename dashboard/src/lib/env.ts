// Variables as people type or paste them: a `NAME=value` on each line, as in a .env file.

export type Env = { env: Record<string, string> } | { error: string };

/** Reads them; empty lines and those that begin with `#` are nothing, quotes around a whole value are taken off. */
export function parseEnv(text: string): Env {
  const env: Record<string, string> = {};
  for (const [i, raw] of text.split('\n').entries()) {
    const line = raw.trim().replace(/^export\s+/, '');
    if (line === '' || line.startsWith('#')) continue;
    const at = line.indexOf('=');
    const name = line.slice(0, Math.max(0, at)).trim();
    if (at < 0) return { error: `Line ${i + 1} has no "=": NAME=value` };
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      return { error: `Line ${i + 1}: "${name}" can't be the name of a variable` };
    if (Object.hasOwn(env, name)) return { error: `Line ${i + 1}: ${name} is there twice` };
    env[name] = unquote(line.slice(at + 1).trim());
  }
  return { env };
}

function unquote(value: string): string {
  const quote = value[0];
  const quoted = value.length > 1 && (quote === '"' || quote === "'") && value.endsWith(quote);
  return quoted ? value.slice(1, -1) : value;
}

/** What is wrong with an id, in words; null when it is one. */
export function idFault(id: string): string | null {
  if (id === '') return 'Enter an id';
  if (id.length > 63) return 'An id has at most 63 characters';
  if (/^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$/.test(id.toLowerCase()) && !id.includes('..')) return null;
  return 'An id has letters, digits, dashes, underscores and single dots, and begins and ends with a letter or digit';
}
