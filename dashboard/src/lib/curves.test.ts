import { describe, expect, test } from 'vitest';
import { RANGES, aboveZero, gaps, goneOn, marksOf, startOf, withHoles, type Curves } from './curves';
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

test('a curve goes on with what is measured now, when it is time, and not over what is missing', () => {
  const row = { memory_mb: 5, cpu_percent: null, rps: 2, eps: 1 } as Row;
  const curves: Curves = {
    instance: 'web:a',
    interval_ms: 10,
    times: [100],
    memory_mb: [4],
    cpu_percent: [1],
    requests_per_second: [0],
    errors_per_second: [0],
    latency_p50_ms: [3],
    latency_p95_ms: [3],
  };
  expect(goneOn(curves, row, 109)).toBe(curves);
  expect(goneOn(curves, row, 119)).toEqual({
    ...curves,
    times: [100, 110],
    memory_mb: [4, 5],
    cpu_percent: [1, null],
    requests_per_second: [0, 2],
    errors_per_second: [0, 1],
    latency_p50_ms: [3, null],
    latency_p95_ms: [3, null],
  });
  expect(goneOn(curves, row, 136)).toBeNull();
  expect(goneOn({ ...curves, times: [] }, row, 130)).toBeNull();
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
