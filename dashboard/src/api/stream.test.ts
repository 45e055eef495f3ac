import { expect, test } from 'vitest';
import { backOff } from './stream';

test('the back-off grows, has an end, and differs between readers', () => {
  const most = [1, 2, 3, 4, 5, 6, 7, 100].map((failures) => backOff(failures, () => 1));
  expect(most).toEqual([500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000]);
  expect(backOff(3, () => 0)).toBe(1000);
});
