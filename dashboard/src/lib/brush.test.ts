import { expect, test } from 'vitest';
import { bucketAt, count, rangeOf, stacked, tickText, ticks, type Bucket } from './brush';

const bucket = (start: number, error = 0, info = 0): Bucket => ({
  start,
  levels: { debug: 0, info, warn: 0, error },
});
const BUCKETS = [bucket(1000, 1, 3), bucket(2000), bucket(3000, 0, 8)];

test('a place in the plot is a bucket', () => {
  expect([
    bucketAt(0, 300, 3),
    bucketAt(99, 300, 3),
    bucketAt(100, 300, 3),
    bucketAt(999, 300, 3),
    bucketAt(-5, 300, 3),
  ]).toEqual([0, 0, 1, 2, 0]);
  expect(bucketAt(5, 0, 3)).toBe(0);
  expect(bucketAt(5, 300, 0)).toBe(0);
});

test('a brush is a range, whichever way it was drawn', () => {
  expect(rangeOf(BUCKETS, 1000, 0, 1)).toEqual({ from: 1000, to: 3000 });
  expect(rangeOf(BUCKETS, 1000, 2, 1)).toEqual({ from: 2000, to: 4000 });
  expect(rangeOf(BUCKETS, 1000, -3, 99)).toEqual({ from: 1000, to: 4000 });
  expect(rangeOf([], 1000, 0, 1)).toBe(null);
});

test('bars are stacked, and few lines are seen beside many', () => {
  const paths = stacked([bucket(0, 1, 100_000)], 100, 40, ['error', 'info']);
  expect(paths.error).toBe('M0 38.5h99v1.5h-99z');
  expect(paths.info).toMatch(/^M0 /);
  expect(stacked(BUCKETS, 300, 40, ['error']).info).toBe('');
  expect(stacked([], 300, 40, ['info']).info).toBe('');
});

test('lines that come are counted on', () => {
  const buckets = structuredClone(BUCKETS);
  expect(count(buckets, 1000, 6, 3500, 'error')).toBe(true);
  expect(count(buckets, 1000, 6, 5100, 'info')).toBe(true);
  expect(buckets.map((one) => one.start)).toEqual([1000, 2000, 3000, 4000, 5000]);
  expect([buckets[2].levels.error, buckets[4].levels.info]).toEqual([1, 1]);
  expect(count(buckets, 1000, 6, 9000, 'info')).toBe(false);
  expect(count(structuredClone(BUCKETS), 1000, 6, 10, 'info')).toBe(false);
});

test('ticks that people can read', () => {
  const hour = 3_600_000;
  expect(ticks({ from: 0, to: 3 * hour }, 4)).toEqual({ at: [0, hour, 2 * hour], step: hour });
  expect(ticks({ from: 10, to: 10 }, 4).at).toEqual([]);
  expect(ticks({ from: 0, to: 40 * 364 * 24 * hour }, 4).at.length).toBeLessThanOrEqual(4);
  expect([
    tickText(hour, hour, true),
    tickText(0, hour, true),
    tickText(1500, 500, true),
    tickText(5000, 5000, true),
  ]).toEqual(['01:00', '01-01', '00:01.500', '00:00:05']);
});
