import { expect, test } from 'vitest';
import { again, backOff } from './again';
import { ApiError, Unreachable } from './client';

test('the back-off grows, has an end, and differs between readers', () => {
  const most = [1, 2, 3, 4, 5, 6, 7, 100].map((failures) => backOff(failures, () => 1));
  expect(most).toEqual([500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000]);
  expect(backOff(3, () => 0)).toBe(1000);
});

test('what passes is asked again, not before the daemon said; what would be the same is not', () => {
  const refused = (status: number, after: number | null = null, code = 'x'): ApiError =>
    new ApiError(status, code, '', {}, after);
  expect(again(new Unreachable(''), 1)).toBeLessThanOrEqual(500);
  for (const status of [429, 503]) expect(again(refused(status, 15), 1)).toBeGreaterThan(15_000);
  expect(again(refused(429, 30 * 86_400), 1)).toBe(2 ** 31 - 1);
  expect(again(refused(503), 1)).toBeLessThanOrEqual(500);
  for (const status of [400, 403, 404, 422, 500]) expect(again(refused(status), 1)).toBeNull();
  expect(again(refused(503, 1, 'query_timeout'), 1)).toBeNull();
  expect(again(new Error('x'), 1)).toBeNull();
});
