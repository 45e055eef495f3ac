// When to ask again what could not be had: growing pauses, and never before the daemon said.
import { ApiError, Unreachable } from './client';

const FIRST_DELAY = 500;
const LONGEST_DELAY = 10_000;
/** Timers of browsers take no more: one of longer would be over at once. */
const LONGEST_TIMER = 2 ** 31 - 1;
/** What is refused only just now: too much was asked, or the daemon, or what stands before it, is on its way. */
const PASSING = [429, 502, 503, 504];
/** A search that took too long would do so again. */
const LASTING = 'query_timeout';

/** Milliseconds to wait before the attempt after `failures` failures: growing, and not all readers at once. */
export function backOff(failures: number, random: () => number = Math.random): number {
  const full = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** Math.max(0, failures - 1));
  return full / 2 + (full / 2) * random();
}

/** Milliseconds until it is worth asking again after this error, the `failures`th; null: the answer would be the same. */
export function again(error: unknown, failures: number): number | null {
  if (error instanceof Unreachable) return backOff(failures);
  if (!(error instanceof ApiError) || !PASSING.includes(error.status) || error.code === LASTING) return null;
  return Math.min(LONGEST_TIMER, (error.retryAfter ?? 0) * 1000 + backOff(failures));
}
