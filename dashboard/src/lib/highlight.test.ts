import { expect, test } from 'vitest';
import { merged, paced, patternFinder, segments, wordFinder, wordsOf } from './highlight';

const marked = (message: string, query: string): string =>
  segments(message, wordFinder(query))
    .map((part) => (part.hit ? `[${part.text}]` : part.text))
    .join('');

test('words as the daemon takes them apart', () => {
  expect(wordsOf(' database  error ')).toEqual(['database', 'error']);
  expect(wordsOf('"connection refused" pg')).toEqual(['connection refused', 'pg']);
  expect(wordsOf('say "hi')).toEqual(['say', '"hi']);
  expect(wordsOf('a"b c"')).toEqual(['a"b', 'c"']);
  expect(wordsOf('"a"b')).toEqual(['a', 'b']);
  for (const empty of ['', '  ', '""', '" "']) expect(wordsOf(empty)).toEqual([]);
});

test('all words, in any case, also where they overlap', () => {
  expect(marked('Database ERROR: database', 'database error')).toBe('[Database] [ERROR]: [database]');
  expect(marked('abcd', 'abc bcd')).toBe('[abcd]');
  expect(marked('İstanbul error', 'error')).toBe('İstanbul [error]');
  expect(marked('<b>x</b>', '<b>')).toBe('[<b>]x</b>');
  expect(wordFinder('  ')).toBe(null);
});

test('a hit goes through colours', () => {
  const parts = segments('a\x1b[31mbc\x1b[0mde', wordFinder('bcd'));
  expect(parts.map((part) => [part.text, part.hit, part.style?.fg ?? null])).toEqual([
    ['a', false, null],
    ['bc', true, 1],
    ['d', true, null],
    ['e', false, null],
  ]);
});

test('marks for what can not be seen stay where they are', () => {
  expect(marked('a\0b c', 'b')).toBe('a‹NUL›[b] c');
});

test('expressions', () => {
  const find = patternFinder('\\d+ms');
  expect(
    segments('took 12ms, 3ms', find)
      .filter((part) => part.hit)
      .map((part) => part.text),
  ).toEqual(['12ms', '3ms']);
  expect(patternFinder('(')).toBe(null);
});

test('what a frame has no time for is not searched, and what was found is kept', () => {
  let left = 1000;
  const budget = { open: () => left > 0, spend: (steps: number) => void (left -= steps) };
  const find = paced(patternFinder('ab+', budget.spend), budget);
  const line = 'xab'.repeat(700);
  expect(find?.(line)).toHaveLength(100);
  expect(left).toBeLessThan(0);
  expect(find?.(line)).toEqual([]);
  left = 1000;
  expect(find?.(line)).toHaveLength(100);
  expect(left).toBe(1000 - 100 * 300);
});

test('ranges are put together', () => {
  expect(
    merged([
      [5, 7],
      [0, 2],
      [1, 3],
      [3, 4],
    ]),
  ).toEqual([
    [0, 4],
    [5, 7],
  ]);
});
