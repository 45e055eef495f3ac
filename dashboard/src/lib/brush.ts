// Sums for the histogram: which bucket is where, what a brush means in time, how levels are stacked, where ticks stand.

export const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type Level = (typeof LEVELS)[number];
export type Bucket = { start: number; levels: Record<Level, number> };
/** Milliseconds since 1970: from the first to before the second. */
export type TimeRange = { from: number; to: number };

/** The bucket at `x` pixels of `width`. */
export function bucketAt(x: number, width: number, count: number): number {
  if (count === 0 || width <= 0) return 0;
  return Math.min(count - 1, Math.max(0, Math.floor((x / width) * count)));
}

/** The time that the buckets from `a` to `b` span, in either order. */
export function rangeOf(
  buckets: readonly Bucket[],
  interval: number,
  a: number,
  b: number,
): TimeRange | null {
  if (buckets.length === 0) return null;
  const last = buckets.length - 1;
  const first = Math.max(0, Math.min(a, b));
  const end = Math.min(last, Math.max(a, b));
  return { from: buckets[first].start, to: buckets[end].start + interval };
}

export const sum = (bucket: Bucket): number => LEVELS.reduce((all, level) => all + bucket.levels[level], 0);

/** An outline for each level: bars on bars, errors lowest, and what is there at least a pixel high. */
export function stacked(
  buckets: readonly Bucket[],
  width: number,
  height: number,
  shown: readonly Level[],
): Record<Level, string> {
  const paths: Record<Level, string> = { debug: '', info: '', warn: '', error: '' };
  const order = (['error', 'warn', 'info', 'debug'] as const).filter((level) => shown.includes(level));
  const top = Math.max(1, ...buckets.map((one) => order.reduce((all, level) => all + one.levels[level], 0)));
  const step = width / Math.max(1, buckets.length);
  const gap = step > 4 ? 1 : 0;
  buckets.forEach((bucket, i) => {
    let y = height;
    for (const level of order) {
      const n = bucket.levels[level];
      if (n === 0) continue;
      const high = Math.min(y, Math.max(1.5, (n / top) * (height - 2)));
      y -= high;
      paths[level] +=
        `M${round(i * step)} ${round(y)}h${round(step - gap)}v${round(high)}h${round(gap - step)}z`;
    }
  });
  return paths;
}

const round = (n: number): number => Math.round(n * 100) / 100;

/** Adds lines that came since to the buckets; false where there is no bucket for one of them, and others are to be asked for. */
export function count(buckets: Bucket[], interval: number, most: number, at: number, level: Level): boolean {
  if (buckets.length === 0) return false;
  while (at >= buckets[buckets.length - 1].start + interval) {
    if (buckets.length >= most) return false;
    const start = buckets[buckets.length - 1].start + interval;
    buckets.push({ start, levels: { debug: 0, info: 0, warn: 0, error: 0 } });
  }
  const index = Math.floor((at - buckets[0].start) / interval);
  if (index < 0) return false;
  buckets[index].levels[level] += 1;
  return true;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [
  1,
  2,
  5,
  10,
  20,
  50,
  100,
  200,
  500,
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 7, 14, 28, 91, 182, 364].map((n) => n * DAY),
];

/** Times on the axis that people can read, `most` of them at most; `offset` is that of the time zone in milliseconds. */
export function ticks(range: TimeRange, most: number, offset = 0): { at: number[]; step: number } {
  const span = range.to - range.from;
  const step = STEPS.find((one) => span / one <= most) ?? Math.ceil(span / most / (364 * DAY)) * 364 * DAY;
  const at: number[] = [];
  if (span <= 0) return { at, step };
  for (let time = Math.ceil((range.from + offset) / step) * step; time - offset < range.to; time += step)
    at.push(time - offset);
  return { at, step };
}

/** How a tick of such a step is written. */
export function tickText(at: number, step: number, utc: boolean): string {
  const date = new Date(utc ? at : at - new Date(at).getTimezoneOffset() * MINUTE);
  const iso = date.toISOString();
  if (step >= DAY) return iso.slice(5, 10);
  if (step >= MINUTE) return iso.slice(11, 16) === '00:00' ? iso.slice(5, 10) : iso.slice(11, 16);
  return step >= SECOND ? iso.slice(11, 19) : iso.slice(14, 23);
}
