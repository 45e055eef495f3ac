import { expect, test } from 'vitest';
import { PATIENCE, Sequence, type Shortcut } from './keys';

const shortcut = (keys: string): Shortcut => ({ keys, label: '', group: '', run: () => {} });
const ALL = [shortcut('g o'), shortcut('g l'), shortcut('o'), shortcut('/')];

test('keys that follow each other are one shortcut', () => {
  const keys = new Sequence();
  expect(keys.press('/', 0, ALL)).toBe(ALL[3]);
  expect(keys.press('g', 10, ALL)).toBe('waiting');
  expect(keys.press('o', 20, ALL)).toBe(ALL[0]);
  expect(keys.press('o', 30, ALL)).toBe(ALL[2]);
});

test('what takes too long begins anew, and what leads nowhere does nothing', () => {
  const keys = new Sequence();
  keys.press('g', 0, ALL);
  expect(keys.press('o', PATIENCE + 1, ALL)).toBe(ALL[2]);
  keys.press('g', 5000, ALL);
  expect(keys.press('/', 5001, ALL)).toBe(null);
  expect(keys.press('/', 5002, ALL)).toBe(ALL[3]);
  expect(keys.press('x', 5003, ALL)).toBe(null);
});

test("a page's shortcut is taken before the shell's", () => {
  const own = shortcut('/');
  expect(new Sequence().press('/', 0, [...ALL, own])).toBe(own);
});
