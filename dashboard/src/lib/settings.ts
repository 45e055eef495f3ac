// Values of the configuration as people read them: seconds as `5m`, bytes as `1.00 GB`, what is not set as what follows.
import { bytes, duration, grouped } from './format';

const SECONDS = new Set([
  'backoff_base',
  'health_check_interval',
  'health_timeout',
  'idle_timeout',
  'log_retention',
  'request_timeout',
  'restart_window',
  'startup_timeout',
  'stop_timeout',
  'timeout',
]);
const MILLISECONDS = new Set(['backoff_base_ms', 'backoff_max_ms']);
const BYTES = new Set(['log_max_size', 'rotate_size']);
const MEBIBYTES = new Set(['memory_limit_mb', 'storage_quota_mb']);
/** What it means that a key has no value. */
const UNSET: Record<string, string> = {
  health: 'no check',
  idle_timeout: 'never',
  log_max_size: 'as in settings',
  log_rate_limit: 'no limit',
  log_retention: 'as in settings',
  max_connections: 'no limit',
  memory_limit_mb: 'no limit',
  storage_quota_mb: 'no limit',
};

/** A section with its variables as keys of their own, `env.NAME`. */
export function flat(section: Record<string, unknown>): Record<string, unknown> {
  const { env, ...rest } = section;
  const variables = Object.entries(env ?? {}).map(([name, value]) => [`env.${name}`, value]);
  return { ...rest, ...Object.fromEntries(variables) };
}

/** The value of a key; `key` may have a path before it, as `env.NAME`. */
export function valueWords(key: string, value: unknown): string {
  if (value === null || value === undefined) return UNSET[key] ?? 'not set';
  if (key.startsWith('env.')) return String(value);
  if (typeof value === 'number') {
    if (SECONDS.has(key))
      return Number.isInteger(value) && value < 60 ? `${value} s` : duration(value * 1000);
    if (MILLISECONDS.has(key)) return duration(value);
    if (BYTES.has(key)) return bytes(value);
    if (MEBIBYTES.has(key)) return bytes(value * 1024 * 1024);
    if (key === 'log_rate_limit') return value === 0 ? 'no limit' : `${grouped(value)} lines/s`;
    return grouped(value);
  }
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'string') return value === '' ? '""' : value;
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(plain).join(', ');
  return Object.keys(value).length === 0 ? 'none' : plain(value);
}

function plain(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
