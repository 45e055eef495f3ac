import { expect, test } from 'vitest';
import { Slots } from './slots';

test('what stays in sight keeps its element, and what comes takes that of what left', () => {
  const slots = new Slots<string>();
  expect(slots.assign(['a', 'b', 'c', 'd'])).toEqual([0, 1, 2, 3]);
  expect(slots.assign(['b', 'c', 'd', 'e'])).toEqual([1, 2, 3, 0]);
  expect(slots.assign(['b', 'c', 'd', 'e'])).toEqual([1, 2, 3, 0]);
  expect(slots.assign(['e', 'b'])).toEqual([0, 1]);
  expect(slots.assign(['e', 'b', 'f'])).toEqual([0, 1, 4]);
});

test('an element that has the focus goes to no other row', () => {
  const slots = new Slots<string>();
  slots.assign(['a', 'b']);
  expect(slots.assign(['b', 'c'], 0)).toEqual([1, 2]);
  expect(slots.assign(['b', 'c'], 1)).toEqual([1, 2]);
});

test('a scroll far away builds nothing anew', () => {
  const slots = new Slots<number>();
  const range = (first: number) => Array.from({ length: 30 }, (_, n) => first + n);
  slots.assign(range(0));
  for (const first of [100, 5000, 12, 9000]) expect(Math.max(...slots.assign(range(first)))).toBe(29);
});
