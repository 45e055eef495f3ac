// Figures and times as people read them in a dense table: short, of steady width, a dash where there is none.

export const NONE = '–';

type Maybe = number | null | undefined;
const known = (value: Maybe): value is number =>
  value !== null && value !== undefined && Number.isFinite(value);

/** `1234567` → `1.23M`; up to 9,999 as it is. */
export function count(value: Maybe): string {
  if (!known(value)) return NONE;
  const size = Math.abs(value);
  if (size < 10_000) return grouped(Math.round(value));
  for (const [unit, letter] of [
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const) {
    if (size >= unit * 0.9995) return `${digits(value / unit, 3)}${letter}`;
  }
  return grouped(Math.round(value));
}

/** All digits, in groups of three. */
export function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** A figure per second, or of the like: `0`, `0.05`, `3.4`, `120`, `12.3k`. */
export function rate(value: Maybe): string {
  if (!known(value)) return NONE;
  if (value === 0) return '0';
  if (value < 0.01) return '<0.01';
  if (value < 0.995) return value.toFixed(2);
  return value < 999.5 ? digits(value, value < 100 ? 2 : 3) : count(value);
}

/** Bytes from mebibytes: `12.3 MB`, `1.20 GB`. */
export function megabytes(value: Maybe): string {
  return known(value) ? bytes(value * 1024 * 1024) : NONE;
}

/** Bytes, in powers of 1024. */
export function bytes(value: Maybe): string {
  if (!known(value)) return NONE;
  let size = value;
  let unit = 0;
  const units = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${Math.round(size)} B` : `${digits(size, 3)} ${units[unit]}`;
}

/** `0.4%`, `12%`; of one core, so that it may be more than 100. */
export function percent(value: Maybe): string {
  if (!known(value)) return NONE;
  if (value > 0 && value < 0.05) return '<0.1%';
  return `${value >= 9.95 || value === 0 ? Math.round(value) : value.toFixed(1)}%`;
}

/** A length of time by its two largest parts: `350 ms`, `12 s`, `4m 10s`, `3h 5m`, `12d 4h`. */
export function duration(ms: Maybe): string {
  if (!known(ms)) return NONE;
  if (ms > 0 && ms < 0.95) return `${Math.max(0.1, ms).toFixed(1)} ms`;
  if (ms < 999.5) return `${Math.max(0, Math.round(ms))} ms`;
  const s = Math.max(1, Math.floor(ms / 1000));
  if (s < 60) return ms < 10_000 ? `${Math.max(1, Math.floor(ms / 100) / 10).toFixed(1)} s` : `${s} s`;
  const m = Math.floor(s / 60);
  if (m < 60) return pair(m, 'm', s % 60, 's');
  const h = Math.floor(m / 60);
  return h < 24 ? pair(h, 'h', m % 60, 'm') : pair(Math.floor(h / 24), 'd', h % 24, 'h');
}

function pair(large: number, a: string, small: number, b: string): string {
  return small === 0 ? `${large}${a}` : `${large}${a} ${small}${b}`;
}

/** How long something goes on, on a screen that is drawn anew each second. */
export const lasting = (ms: number): string => (ms < 1000 ? '<1 s' : duration(ms));

/** How long ago, with one part: `now`, `12s`, `4m`, `3h`, `12d`. */
export function ago(then: Maybe, now: number): string {
  if (!known(then)) return NONE;
  const s = Math.max(0, Math.floor((now - then) / 1000));
  if (s < 2) return 'now';
  if (s < 60) return `${s}s ago`;
  if (s < 3600) return `${Math.floor(s / 60)}m ago`;
  return s < 86_400 ? `${Math.floor(s / 3600)}h ago` : `${Math.floor(s / 86_400)}d ago`;
}

const two = (n: number): string => String(n).padStart(2, '0');

/** `14:03:59`, in local time. */
export function clock(ms: number): string {
  const at = new Date(ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** `14:03:59.123`, in local time. */
export function clockMillis(ms: number): string {
  return `${clock(ms)}.${String(new Date(ms).getMilliseconds()).padStart(3, '0')}`;
}

/** `2024-01-12 14:03:59`, in local time. */
export function dateTime(ms: Maybe): string {
  if (!known(ms)) return NONE;
  const at = new Date(ms);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(ms)}`;
}

/** `n thing` or `n things`. */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${grouped(n)} ${n === 1 ? one : many}`;
}

/** So many significant digits, and none of them in an exponent. */
function digits(value: number, wanted: number): string {
  const before = Math.abs(value) < 1 ? 1 : Math.floor(Math.log10(Math.abs(value))) + 1;
  const text = value.toFixed(Math.max(0, wanted - before));
  // Rounded up it may have one more before the point: 99.96 is 100.
  return text.replace(/\D/g, '').length > wanted && text.includes('.')
    ? value.toFixed(Math.max(0, wanted - before - 1))
    : text;
}
