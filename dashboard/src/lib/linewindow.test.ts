import { expect, test } from 'vitest';
import { LineWindow, type LogLine } from './linewindow';

const line = (id: string, seq: number, at = seq): LogLine => ({
  timestamp: new Date(at).toISOString(),
  instance: `api:${id}`,
  service: 'api',
  id,
  level: 'info',
  message: `line ${seq}`,
  seq,
});
const seqs = (window: LineWindow): number[] => window.lines.map((one) => one.log.seq ?? -1);

test('lines come at both ends, and keep their numbers', () => {
  const window = new LineWindow(100, 1e6, 10);
  window.append([line('a', 5), line('a', 6)]);
  const ord = window.lines[0].ord;
  window.append([line('a', 7)]);
  expect(window.prepend([line('a', 3), line('a', 4)])).toMatchObject({ added: 2, removed: [] });
  expect(seqs(window)).toEqual([3, 4, 5, 6, 7]);
  expect(window.lines.map((one) => one.ord - ord)).toEqual([-2, -1, 0, 1, 2]);
  expect(window.before()).toBe('api:a:3');
});

test('older lines that are here do not come twice', () => {
  const window = new LineWindow();
  window.append([line('a', 5), line('b', 9)]);
  expect(window.prepend([line('b', 8), line('a', 5), line('c', 1)]).added).toBe(2);
  expect(window.before()).toBe('api:b:8,api:c:1,api:a:5');
  expect(window.before(5)).toBe(null);
});

test('newer lines push old ones out, some more at once', () => {
  const window = new LineWindow(100, 1e6, 10);
  expect(window.append(Array.from({ length: 100 }, (_, i) => line('a', i)))).toBe(0);
  expect(window.append([line('a', 100)])).toBe(11);
  expect(window.lines).toHaveLength(90);
  expect([window.before(), window.trimmedFront]).toEqual(['api:a:11', true]);
});

test('older lines push new ones out, and say which', () => {
  const window = new LineWindow(100, 1e6, 10);
  window.append(Array.from({ length: 100 }, (_, i) => line('a', i + 50)));
  const { removed } = window.prepend(Array.from({ length: 50 }, (_, i) => line('a', i)));
  expect(removed.map((one) => one.log.seq)).toEqual(Array.from({ length: 60 }, (_, i) => i + 90));
  window.append([line('a', 90)]);
  expect(seqs(window)).toEqual(Array.from({ length: 91 }, (_, i) => i));
});

test('letters count, too, and one line is always there', () => {
  const window = new LineWindow(100, 1000, 10);
  const long = (seq: number): LogLine => ({ ...line('a', seq), message: 'x'.repeat(400) });
  expect(window.append([long(1), long(2), long(3)])).toBe(1);
  expect(seqs(window)).toEqual([2, 3]);
  window.append([{ ...line('a', 4), message: 'x'.repeat(5000) }]);
  expect(seqs(window)).toEqual([4]);
});

test('a window that was emptied gives new numbers', () => {
  const window = new LineWindow();
  window.append([line('a', 1)]);
  const { ord } = window.lines[0];
  window.clear();
  window.append([line('a', 1)]);
  expect(window.lines[0].ord).toBeGreaterThan(ord);
});
