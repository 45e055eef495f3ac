import { expect, test } from 'vitest';
import type { LogLine } from './linewindow';
import { Progress } from './progress';

const NOW = Date.parse('2024-01-12T10:00:00.000Z');
const line = (id: string, seq: number, at = NOW + seq): LogLine => ({
  timestamp: new Date(at).toISOString(),
  instance: `api:${id}`,
  service: 'api',
  id,
  level: 'info',
  message: '',
  seq,
});
const iso = (at: number): string => new Date(at).toISOString();

test('a page says where to go on; what was found long ago does not', () => {
  const progress = new Progress();
  progress.begin([line('old', 3, NOW - 60_000), line('a', 7)], NOW);
  expect(progress.query(NOW)).toEqual({ from: `api:a:8@${NOW + 7}`, since: iso(NOW - 3000) });
});

test('each line once', () => {
  const progress = new Progress();
  progress.begin([line('a', 7)], NOW);
  expect([6, 7, 8, 8, 9].map((seq) => progress.take(line('a', seq)))).toEqual([
    false,
    false,
    true,
    false,
    true,
  ]);
  expect(progress.take(line('b', 1))).toBe(true);
  // Notices of the daemon have no place.
  expect(progress.take({ ...line('a', 0), seq: undefined as never })).toBe(true);
  expect(progress.query(NOW).from).toBe(`api:a:10@${NOW + 9},api:b:2@${NOW + 1}`);
});

test('an instance that was made anew begins again', () => {
  const progress = new Progress();
  progress.begin([line('a', 700)], NOW);
  expect(progress.take(line('a', 0, NOW + 5000))).toBe(true);
  expect(progress.take(line('a', 1, NOW + 5001))).toBe(true);
});

test('lines that were given back come again', () => {
  const progress = new Progress();
  progress.begin([line('a', 1), line('a', 2), line('b', 1), line('a', 3)], NOW);
  progress.rewind([line('b', 1), line('a', 3)]);
  expect(progress.query(NOW).from).toContain('api:a:3@');
  expect(['a2', 'a3', 'b1', 'a3'].map((one) => progress.take(line(one[0], Number(one[1]))))).toEqual([
    false,
    true,
    true,
    false,
  ]);
});

test('with nothing known all is asked for; with too many instances time says the rest', () => {
  const progress = new Progress();
  progress.begin([], null);
  expect(progress.query(NOW)).toEqual({});
  progress.begin([], NOW);
  expect(progress.query(NOW)).toEqual({ from: '', since: iso(NOW - 3000) });
  for (let i = 0; i < 1000; i++) progress.take(line(`instance-${i}`, 1, NOW + i));
  const { from, since } = progress.query(NOW);
  expect(from?.length).toBeLessThan(6000);
  expect(from).toContain('api:instance-999:2@');
  expect(Date.parse(since ?? '')).toBeLessThanOrEqual(NOW);
});
