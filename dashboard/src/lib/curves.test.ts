import { describe, expect, test } from 'vitest';
import {
  RANGES,
  aboveZero,
  gaps,
  goneOn,
  marksOf,
  offUntil,
  rangeOf,
  startOf,
  tickOf,
  withHoles,
  type Curves,
} from './curves';
import type { Row } from '../api/types';
import type { Happened } from './story';

describe('gaps', () => {
  test('nothing before the first value, and nothing after a new one', () => {
    expect(gaps([0, 10, 20, 30], [null, null, 1, 1], 10, 35)).toEqual([]);
  });

  test('all of it, where it never ran', () => {
    expect(gaps([0, 10, 20, 30], [null, null, null, null], 10, 35)).toEqual([{ from: 0, to: 35 }]);
    expect(gaps([], [], 10, 35)).toEqual([]);
  });

  test('not of before it was known, and not of the moment after', () => {
    const none = [null, null, null, null, null];
    expect(gaps([0, 100, 200, 300, 400], none, 10, 500, 450)).toEqual([{ from: 450, to: 500 }]);
    expect(gaps([0, 100, 200, 300, 400], none, 10, 460, 450)).toEqual([]);
  });

  test('between two values that are far from each other, and up to now', () => {
    expect(gaps([0, 10, 20, 30], [1, null, null, 2], 10, 35)).toEqual([{ from: 0, to: 30 }]);
    expect(gaps([0, 50], [1, 2], 10, 55)).toEqual([{ from: 0, to: 50 }]);
    expect(gaps([0, 10, 20, 30], [1, null, null, null], 10, 40)).toEqual([{ from: 0, to: 40 }]);
  });
});

test('the axis begins with the range, or with a younger instance, but is never tiny', () => {
  const hour = RANGES['1h'];
  expect(startOf('1h', 2 * hour, 0)).toBe(hour);
  expect(startOf('1h', 2 * hour, 1.5 * hour)).toBe(1.5 * hour);
  expect(startOf('1h', 2 * hour, 2 * hour)).toBe(2 * hour - hour / 12);
});

test('what runs is not grey after it began, however late it is measured', () => {
  expect(offUntil(null, 100)).toBe(100);
  expect(offUntil({ ...row, pid: null, since: 50 }, 100)).toBe(100);
  expect(offUntil({ ...row, since: 50 }, 100)).toBe(50);
  expect(gaps([0, 100], [null, null], 10, offUntil({ ...row, since: 50 }, 200), 45)).toEqual([]);
});

test('a range is called what is shown of it', () => {
  expect(rangeOf('1h', RANGES['1h'])).toBe('hour');
  expect(rangeOf('1h', 12 * 60_000 + 34_000)).toBe('12m');
  expect(rangeOf('7d', RANGES['7d'] / 12)).toBe('14h');
});

test('no two ticks have the same label', () => {
  const at = new Date(2026, 0, 2, 3, 4, 30).getTime() / 1000;
  expect(tickOf(at, 30, 300)).toBe('03:04:30');
  expect(tickOf(at, 60, 3600)).toBe('03:04');
  expect(tickOf(at, 86_400, 7 * 86_400)).toBe('01-02 03:04');
});

/** What a daemon tells of a process that began at `began`: intervals of 10 s, written down `late` ms after each is over. */
function told(now: number, began = 0, late = 0, count = 6): Curves {
  const last = now - (now % 10_000);
  const times = Array.from({ length: count }, (_, n) => last - (count - 1 - n) * 10_000);
  const known = (end: number): boolean => end > began && end + late <= now;
  const ran = (value: number) => times.map((at) => (known(at + 10_000) ? value : null));
  return {
    ...{ instance: 'web:a', interval_ms: 10_000, times, memory_mb: ran(5), cpu_percent: ran(1) },
    ...{ requests_per_second: ran(2), errors_per_second: ran(1) },
    ...{ latency_p50_ms: ran(3), latency_p95_ms: ran(3) },
  };
}

const row = { memory_mb: 5, cpu_percent: 1, rps: 2, eps: 1, pid: 7, since: 0 } as Row;
const shade = (curves: Curves, end: number) => gaps(curves.times, curves.memory_mb, curves.interval_ms, end);

test('a curve goes on as the daemon would tell it, whenever it was asked for and is looked at', () => {
  for (let asked = 1_000_000; asked < 1_010_000; asked += 100) {
    for (let step = 100; step <= 10_000; step += 700) {
      let curves = told(asked, 0, 200);
      expect(shade(curves, asked)).toEqual([]);
      for (let now = asked + step; now < asked + 60_000; now += 10_000) {
        const next = goneOn(curves, row, now)!;
        const { times, memory_mb, requests_per_second } = told(now, 0, 0, next.times.length);
        expect(next.times).toEqual(times);
        if (next !== curves) expect(next).toMatchObject({ memory_mb, requests_per_second });
        curves = next;
        expect(shade(curves, now)).toEqual([]);
      }
    }
  }
});

test('a curve says nothing of what sleeps, and nothing of before it woke', () => {
  const asleep = { ...row, memory_mb: null, rps: 0, eps: 0, pid: null, since: 1_005_000 };
  const slept = goneOn(told(1_004_000), asleep, 1_012_000)!;
  expect(slept.requests_per_second.slice(-3)).toEqual([2, null, null]);
  const woken = goneOn(slept, { ...row, since: 1_015_000 }, 1_022_000)!;
  expect(woken.requests_per_second.slice(-4)).toEqual([2, null, 2, null]);
});

test('a curve goes on when an interval is over, and not over what is missing', () => {
  const curves = told(1_004_000);
  expect(goneOn(curves, row, 1_009_000)).toBe(curves);
  expect(goneOn(curves, row, 1_019_000)).not.toBeNull();
  expect(goneOn(curves, row, 1_020_000)).toBeNull();
  expect(goneOn({ ...curves, times: [] }, row, 1_012_000)).toBeNull();
});

test('a crash is drawn over the start of the same second', () => {
  const event = (cause: string, timestamp: string) =>
    ({ cause, timestamp, from: 'running', to: 'failed', exit_code: 1 }) as unknown as Happened;
  const marks = marksOf([event('exit', '2026-01-01T00:00:01Z'), event('start', '2026-01-01T00:00:01.5Z')], 0);
  expect(marks.map((mark) => mark.tone)).toEqual(['--starting', '--failed']);
});

test('of what is drawn over another line, nothing is at zero but where it rises from', () => {
  expect(aboveZero([0, 0, 3, 0, 0, null, 0])).toEqual([null, 0, 3, 0, null, null, null]);
  expect(aboveZero([0])).toEqual([null]);
  expect(aboveZero([null, 2, null])).toEqual([null, 2, null]);
});

test('withHoles puts a null where samples are missing', () => {
  const column = [1, 2];
  const curves: Curves = {
    instance: 'web:a',
    interval_ms: 10,
    times: [0, 50],
    memory_mb: column,
    cpu_percent: column,
    requests_per_second: column,
    errors_per_second: column,
    latency_p50_ms: column,
    latency_p95_ms: column,
  };
  const { times, memory_mb } = withHoles(curves);
  expect(times).toEqual([0, 10, 50]);
  expect(memory_mb).toEqual([1, null, 2]);
});
