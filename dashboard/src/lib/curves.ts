// The samples of an instance, and what plots show besides them: when there was nothing to measure, and what happened then.
import type { Row } from '../api/types';
import { clock, dateTime, duration } from './format';
import { storyOf, type Happened } from './story';

/** `GET /api/metrics/{service}/{id}/history`: columns of equal length, null where nothing was measured. */
export type Curves = {
  instance: string;
  interval_ms: number;
  times: number[];
  memory_mb: (number | null)[];
  cpu_percent: (number | null)[];
  requests_per_second: (number | null)[];
  errors_per_second: (number | null)[];
  latency_p50_ms: (number | null)[];
  latency_p95_ms: (number | null)[];
};

export const RANGES = { '1h': 3_600_000, '1d': 86_400_000, '7d': 7 * 86_400_000 } as const;
export type Range = keyof typeof RANGES;

/** Where the axis of time begins: an instance that is younger than the range has not most of it empty. */
export function startOf(range: Range, end: number, known: number): number {
  return Math.max(end - RANGES[range], Math.min(known, end - RANGES[range] / 12));
}

const WORDS = { '1h': 'hour', '1d': 'day', '7d': 'week' } as const;

/** What is shown of a range, in words: `hour`, or `12m` where there is no more of it. */
export const rangeOf = (range: Range, shown: number): string =>
  shown < RANGES[range] ? duration(shown - (shown % 60_000)) : WORDS[range];

/** A label of the axis of time; both lengths in seconds. */
export function tickOf(seconds: number, step: number, span: number): string {
  const ms = seconds * 1000;
  if (span > 2 * 86_400) return dateTime(ms).slice(5, 16);
  return step < 60 ? clock(ms) : clock(ms).slice(0, 5);
}

/**
 * From the first value on: where there is none, and how long that lasted; also where samples are missing altogether. All of
 * it since it is `known`, where there never was a value. `end`: until when it may have been off.
 */
export function gaps(
  times: readonly number[],
  values: readonly (number | null)[],
  interval: number,
  end: number,
  known = 0,
): { from: number; to: number }[] {
  const found: { from: number; to: number }[] = [];
  let seen: number | null = null;
  for (let i = 0; i < times.length; i++) {
    if (values[i] === null) continue;
    if (seen !== null && times[i] - seen > interval * 1.5) found.push({ from: seen, to: times[i] });
    seen = times[i];
  }
  // After the newest sample one interval may not be written down yet, and one goes on.
  seen ??= Math.max(known, times[0] ?? end);
  if (end - seen > interval * 3) found.push({ from: seen, to: end });
  return found;
}

/** Until when it may have been off: it has a process since then, whatever is measured of that by now. */
export const offUntil = (row: Row | null, end: number): number =>
  row?.pid == null ? end : Math.min(end, row.since);

/** Columns with a row of nulls where samples are missing, so that no line is drawn over them. */
export function withHoles(curves: Curves): Curves {
  const { times, interval_ms: interval } = curves;
  const holes = times.flatMap((at, i) => (i > 0 && at - times[i - 1] > interval * 1.5 ? [i] : []));
  if (holes.length === 0) return curves;
  const split = <T>(column: T[], hole: (i: number) => T): T[] =>
    column.flatMap((value, i) => (holes.includes(i) ? [hole(i), value] : [value]));
  const column = (values: (number | null)[]): (number | null)[] => split(values, () => null);
  return {
    ...curves,
    times: split(times, (i) => times[i - 1] + interval),
    memory_mb: column(curves.memory_mb),
    cpu_percent: column(curves.cpu_percent),
    requests_per_second: column(curves.requests_per_second),
    errors_per_second: column(curves.errors_per_second),
    latency_p50_ms: column(curves.latency_p50_ms),
    latency_p95_ms: column(curves.latency_p95_ms),
  };
}

/** Without the zeros that have nothing else beside them: they would be drawn over the zeros of another line. */
export const aboveZero = (values: readonly (number | null)[]): (number | null)[] =>
  values.map((value, i) => (value || values[i - 1] || values[i + 1] ? value : null));

/**
 * With what the stream says, where another interval is over: of what the daemon had not measured yet when it was asked, and
 * of which the process lived to see the end. The last interval is the one that goes on, of which nothing is known; of
 * latency nothing is. The same before that, null where it is time to ask again.
 */
export function goneOn(curves: Curves, row: Row, now: number): Curves | null {
  const { times, interval_ms: interval } = curves;
  const at = (times.at(-1) ?? 0) + interval;
  if (at > now) return curves;
  if (now - at >= interval) return null;
  // Who asks when an interval has just ended may be told neither of that one nor of the one that began.
  const lacks = (i: number): boolean => i >= times.length - 2 && row.since < times[i] + interval;
  const on = (values: (number | null)[], told: number | null): (number | null)[] => [
    ...values.map((value, i) => value ?? (row.pid != null && lacks(i) ? told : null)),
    null,
  ];
  return {
    ...curves,
    times: [...times, at],
    memory_mb: on(curves.memory_mb, row.memory_mb),
    cpu_percent: on(curves.cpu_percent, row.cpu_percent),
    requests_per_second: on(curves.requests_per_second, row.rps),
    errors_per_second: on(curves.errors_per_second, row.eps),
    latency_p50_ms: on(curves.latency_p50_ms, null),
    latency_p95_ms: on(curves.latency_p95_ms, null),
  };
}

export type Mark = { at: number; tone: string };
/** What one wants to see beside a curve; a wake or a sleep is seen by the grey. */
const MARKED = new Set(['exit', 'start_failed', 'unhealthy', 'restart', 'reload', 'stop', 'start']);
const TONES = { failed: '--failed', starting: '--starting', stopped: '--stopped' } as const;

export function marksOf(events: readonly Happened[], from: number): Mark[] {
  return (
    events
      .filter((event) => MARKED.has(event.cause))
      .map((event) => {
        const { tone } = storyOf(event);
        return {
          at: Date.parse(event.timestamp),
          tone: TONES[tone as keyof typeof TONES] ?? '--muted',
        };
      })
      .filter((mark) => mark.at >= from)
      // The last one is drawn over the others: what is grave is not to be covered by the start that follows it.
      .sort((a, b) => +(a.tone === TONES.failed) - +(b.tone === TONES.failed))
  );
}
