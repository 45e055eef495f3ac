// An answer of the API that a page shows: what is there, what went wrong, and whether to show a skeleton.
import { untrack } from 'svelte';
import { again } from '../api/again';

/** Milliseconds before there is a skeleton: what is faster than that would only flicker. */
const PATIENCE = 150;
/** Milliseconds after which an answer that is under way will not come any more. */
const LONGEST = 20_000;

export class Resource<T> {
  data = $state.raw<T | null>(null);
  error = $state.raw<Error | null>(null);
  loading = $state(false);
  /** There is nothing to show yet, and it takes longer than a moment. */
  slow = $state(false);
  private run = 0;
  private began = 0;
  private abort: AbortController | null = null;
  private again: ReturnType<typeof setTimeout> | undefined;
  /** What was asked the last time, or is to be the next time. */
  private ask: ((signal: AbortSignal) => Promise<T>) | null = null;
  /** It is asked once more as soon as the answer that is under way is there. */
  private due = false;

  /**
   * Asks while somebody sees the page: now, every so many milliseconds, and when it is seen again. Returns what ends that.
   */
  keep(ask: (signal: AbortSignal) => Promise<T>, pace: number): () => void {
    const look = (): void => {
      if (document.visibilityState === 'visible') void this.renew(ask);
    };
    look();
    const timer = setInterval(look, pace);
    document.addEventListener('visibilitychange', look);
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', look);
      this.cancel();
    };
  }

  /**
   * Asks the same once more, for who looks again and again. An answer that is under way is waited for: of a daemon that
   * takes longer than the pace of its readers there would never be one. So is the time when the daemon may be asked again.
   */
  renew(ask: (signal: AbortSignal) => Promise<T>): Promise<void> {
    this.ask = ask;
    if (this.again !== undefined) return Promise.resolve();
    // An effect that asks must not run again because there is an answer.
    if (!untrack(() => this.loading) || performance.now() - this.began > LONGEST) return this.load(ask);
    this.due = true;
    return Promise.resolve();
  }

  /** Asks what was asked the last time, at once: for who clicks. */
  retry(): void {
    if (this.ask !== null) void this.load(this.ask);
  }

  /** Loads anew; what is there stays until the answer comes. An answer that was overtaken is dropped. */
  async load(ask: (signal: AbortSignal) => Promise<T>, failures = 0): Promise<void> {
    this.ask = ask;
    const run = this.drop();
    this.abort = new AbortController();
    this.loading = true;
    this.began = performance.now();
    const timer = setTimeout(() => (this.slow = this.data === null && run === this.run), PATIENCE);
    try {
      const data = await ask(this.abort.signal);
      if (run !== this.run) return;
      this.data = data;
      this.error = null;
    } catch (error) {
      if (run !== this.run) return;
      this.error = error instanceof Error ? error : new Error(String(error));
      // What passes is asked again without anybody's click.
      const wait = again(error, failures + 1);
      if (wait !== null) this.again = setTimeout(() => void this.load(this.ask ?? ask, failures + 1), wait);
    } finally {
      clearTimeout(timer);
      if (run === this.run) {
        this.loading = false;
        this.slow = false;
        if (this.due && this.again === undefined) void this.load(this.ask ?? ask);
      }
    }
  }

  /** Nobody waits any more. */
  cancel(): void {
    this.drop();
    this.loading = false;
    this.slow = false;
  }

  private drop(): number {
    clearTimeout(this.again);
    this.again = undefined;
    this.due = false;
    this.abort?.abort();
    return ++this.run;
  }
}
