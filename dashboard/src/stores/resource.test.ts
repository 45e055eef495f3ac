import { expect, test, vi } from 'vitest';
import { ApiError } from '../api/client';
import { Resource } from './resource.svelte';

vi.useFakeTimers();

/** Answers after so many milliseconds, with how often it was asked until then; counts what was given up. */
function slow(ms: number): { ask: (signal: AbortSignal) => Promise<number>; asked: number; given: number } {
  const state = { asked: 0, given: 0, ask };
  function ask(signal: AbortSignal): Promise<number> {
    const mine = ++state.asked;
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        state.given += 1;
        reject(new DOMException('', 'AbortError'));
      };
      signal.addEventListener('abort', giveUp);
      setTimeout(() => {
        signal.removeEventListener('abort', giveUp);
        resolve(mine);
      }, ms);
    });
  }
  return state;
}

test('who looks more often than there is an answer gets one all the same, and then the newest', async () => {
  const daemon = slow(7000);
  const shown = new Resource<number>();
  for (let n = 0; n < 3; n++) {
    void shown.renew(daemon.ask);
    await vi.advanceTimersByTimeAsync(2500);
  }
  expect(shown.data).toBe(1);
  await vi.advanceTimersByTimeAsync(7000);
  expect([shown.data, daemon.asked, daemon.given]).toEqual([2, 2, 0]);
});

test('what never comes is asked for anew', async () => {
  const daemon = slow(1e9);
  const shown = new Resource<number>();
  void shown.renew(daemon.ask);
  await vi.advanceTimersByTimeAsync(25_000);
  void shown.renew(daemon.ask);
  expect([daemon.asked, daemon.given]).toEqual([2, 1]);
  shown.cancel();
});

test('after the end nothing is asked, and what is looked at again is asked at once', async () => {
  const daemon = slow(1000);
  const shown = new Resource<number>();
  void shown.renew(daemon.ask);
  void shown.renew(daemon.ask);
  shown.cancel();
  await vi.advanceTimersByTimeAsync(5000);
  expect([shown.data, daemon.asked]).toEqual([null, 1]);
  void shown.renew(daemon.ask);
  await vi.advanceTimersByTimeAsync(1000);
  expect(shown.data).toBe(2);
});

/** Refuses what is asked of it for so many seconds each time, and counts. */
function refusing(seconds: number): { ask: () => Promise<number>; asked: number } {
  const state = { asked: 0, ask };
  function ask(): Promise<number> {
    state.asked += 1;
    return Promise.reject(new ApiError(429, 'rate_limited', '', {}, seconds));
  }
  return state;
}

test('who looks again and again asks nothing before the daemon said', async () => {
  const page = Object.assign(new EventTarget(), { visibilityState: 'visible' });
  vi.stubGlobal('document', page);
  const daemon = refusing(1800);
  const shown = new Resource<number>();
  const leave = shown.keep(daemon.ask, 15_000);
  await vi.advanceTimersByTimeAsync(100);
  expect([daemon.asked, shown.loading, shown.error]).toEqual([1, false, expect.any(ApiError)]);
  await vi.advanceTimersByTimeAsync(1_799_000);
  page.dispatchEvent(new Event('visibilitychange'));
  expect(daemon.asked).toBe(1);
  await vi.advanceTimersByTimeAsync(2000);
  expect(daemon.asked).toBe(2);
  // Whoever clicks is not made to wait.
  shown.retry();
  expect(daemon.asked).toBe(3);
  leave();
  await vi.advanceTimersByTimeAsync(4_000_000);
  expect(daemon.asked).toBe(3);
});

test('what became due while a refusal was under way waits for the daemon too', async () => {
  const daemon = refusing(60);
  const shown = new Resource<number>();
  void shown.renew(daemon.ask);
  void shown.renew(daemon.ask);
  await vi.advanceTimersByTimeAsync(59_000);
  expect(daemon.asked).toBe(1);
  await vi.advanceTimersByTimeAsync(2000);
  expect(daemon.asked).toBe(2);
  shown.cancel();
});

test('a page that nobody sees asks nothing, and one that is seen again at once', async () => {
  const page = Object.assign(new EventTarget(), { visibilityState: 'hidden' });
  vi.stubGlobal('document', page);
  const daemon = slow(10);
  const shown = new Resource<number>();
  const leave = shown.keep(daemon.ask, 15_000);
  await vi.advanceTimersByTimeAsync(100_000);
  expect(daemon.asked).toBe(0);
  page.visibilityState = 'visible';
  page.dispatchEvent(new Event('visibilitychange'));
  await vi.advanceTimersByTimeAsync(100);
  expect(shown.data).toBe(1);
  leave();
  page.dispatchEvent(new Event('visibilitychange'));
  expect(daemon.asked).toBe(1);
});
