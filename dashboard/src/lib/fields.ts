// The fields of a line that is a JSON object, or has name=value pairs as logfmt writes them; named as the daemon's `field=` names them.
import { plain } from './ansi';

export type Field = {
  name: string;
  /** As it is shown and compared: texts without their quotes, lists and objects as they are written. */
  value: string;
  kind: 'text' | 'number' | 'word' | 'other';
};

const FIELDS_MAX = 200;
const DEPTH_MAX = 8;

/** The fields of a line, in its order; none where it has none. */
export function fieldsOf(message: string): Field[] {
  const text = message.trim();
  if (text.startsWith('{') && text.endsWith('}')) {
    const parsed = json(text);
    if (parsed !== null) return parsed;
  }
  return pairs(plain(message));
}

function json(text: string): Field[] | null {
  let value: unknown;
  try {
    value = JSON.parse(text, exactly);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const found: Field[] = [];
  members(value as Record<string, unknown>, '', 0, found);
  return found;
}

/** A number as it is written: one of 20 digits is an id, and not to be rounded. */
class Exact {
  constructor(readonly text: string) {}
  toJSON(): unknown {
    return Number(this.text);
  }
}

function exactly(_key: string, value: unknown, context?: { source?: string }): unknown {
  return typeof value === 'number' ? new Exact(context?.source ?? String(value)) : value;
}

function members(object: Record<string, unknown>, prefix: string, depth: number, found: Field[]): void {
  for (const [key, value] of Object.entries(object)) {
    if (found.length >= FIELDS_MAX) return;
    const name = prefix + key;
    if (value instanceof Exact) found.push({ name, value: value.text, kind: 'number' });
    else if (typeof value === 'string') found.push({ name, value, kind: 'text' });
    else if (value === null || typeof value === 'boolean')
      found.push({ name, value: String(value), kind: 'word' });
    else if (
      typeof value === 'object' &&
      !Array.isArray(value) &&
      depth < DEPTH_MAX &&
      Object.keys(value).length > 0
    )
      members(value as Record<string, unknown>, `${name}.`, depth + 1, found);
    else found.push({ name, value: JSON.stringify(value) ?? '', kind: 'other' });
  }
}

/** `name=value`, `name="a value"`; what another one quotes does not count. */
function pairs(text: string): Field[] {
  const found: Field[] = [];
  const pair = /(?:^|[\s,;([{])([A-Za-z_][\w.@/-]{0,99})=("(?:[^"\\]|\\.)*"|[^\s"]\S*|(?=\s|$))/g;
  for (const [, name, written] of text.matchAll(pair)) {
    if (found.length >= FIELDS_MAX) break;
    const quoted = written.startsWith('"');
    const value = quoted ? unquoted(written) : written;
    const number = !quoted && /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(value);
    found.push({ name, value, kind: number ? 'number' : 'text' });
  }
  return found;
}

function unquoted(written: string): string {
  try {
    return JSON.parse(written) as string;
  } catch {
    return written.slice(1, -1);
  }
}

/** The condition that such a line meets; null where none can be written. */
export function condition(field: Field, not = false): string | null {
  if (/[=<>!~\s]/.test(field.name) || field.value.length > 500) return null;
  return `${field.name}${not ? '!=' : '='}${field.value}`;
}
