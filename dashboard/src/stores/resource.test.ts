import { expect, test, vi } from 'vitest';
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
