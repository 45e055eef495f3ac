// The lines that the page shows, from the first page on: older ones by scrolling up, newer ones by the stream.
//
//   show(state) ─debounced─> page ──> window ──settled──> stream ──> take (new?) ──┬─ following: window, once a frame
//                                     ▲                                          └─ held: waiting, bounded ──full──> stream closed
//                                     └── older(): cursor, or before=                          go on: from= ◀──────────┘
//
// Held is who paused, or reads further up: nothing moves under the reader, and nothing is lost.
import { tick } from 'svelte';
import { again } from '../../api/again';
import type { Message } from '../../api/framing';
import { LineWindow, type LogLine } from '../../lib/linewindow';
import { identity, isOpen, params, search, type LogState } from '../../lib/logfilter';
import { Progress } from '../../lib/progress';
import { Live } from '../../stores/live.svelte';
import { FIRST, OLDER, page, type LogPage } from './ask';

/** Milliseconds: after a key, before stale results are dimmed, before a stream is opened for what was typed. */
const DEBOUNCE = 30;
/** Keys that come faster are typing on. */
const QUICK = 100;
/** An expression is tried on each line: not for each key of it. */
const DEBOUNCE_REGEX = 200;
const DIM_AFTER = 150;
const SETTLED = 300;
export const WAITING_MAX = 20_000;
const WAITING_LETTERS_MAX = 24_000_000;

export class Tail {
  readonly window = new LineWindow();
  readonly live = new Live();
  /** Grows with each change of the window. */
  version = $state(0);
  /** What the lines in the window were asked with; null before the first answer. */
  shown = $state.raw<LogState | null>(null);
  error = $state.raw<Error | null>(null);
  /** What is shown is not yet what was asked for, and it takes longer than a moment. */
  stale = $state(false);
  damaged = $state(0);
  more = $state(false);
  loadingOlder = $state(false);
  olderError = $state.raw<Error | null>(null);
  paused = $state(false);
  following = $state(true);
  waiting = $state(0);
  /** More came than is kept while it waits: it is asked for again. */
  full = $state(false);

  /** Called when the window is another one. */
  onreset: () => void = () => {};
  oncounted: (logs: readonly LogLine[]) => void = () => {};

  private readonly progress = new Progress();
  private wanted: LogState | null = null;
  private abort = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private dim: ReturnType<typeof setTimeout> | undefined;
  private opening: ReturnType<typeof setTimeout> | undefined;
  private cursor: string | null = null;
  private keyAt = 0;
  /** Grows with each page that the window begins with. */
  private pages = 0;
  private held: LogLine[] = [];
  private heldLetters = 0;
  private queue: LogLine[] = [];
  private queued: Promise<void> | null = null;

  /** Shows what belongs to this state; what was asked before is given up. */
  show(state: LogState, again = false): void {
    if (!again && this.wanted !== null && identity(this.wanted) === identity(state)) return;
    const typed = this.wanted !== null && this.wanted.q !== state.q;
    this.wanted = state;
    this.abort.abort();
    clearTimeout(this.timer);
    clearTimeout(this.opening);
    this.dim ??= setTimeout(() => (this.stale = true), DIM_AFTER);
    const began = performance.now();
    // A key after a rest is asked for at once; of several that follow each other only the last.
    const quick = began - this.keyAt < QUICK;
    if (typed) this.keyAt = began;
    const delay = typed && state.re ? DEBOUNCE_REGEX : typed && quick ? DEBOUNCE : 0;
    const ask = (): void => void this.first(state, began, typed ? SETTLED : 0);
    if (delay > 0) this.timer = setTimeout(ask, delay);
    else ask();
  }

  again(): void {
    if (this.wanted !== null) this.show(this.wanted, true);
  }

  close(): void {
    this.abort.abort();
    for (const timer of [this.timer, this.dim, this.opening]) clearTimeout(timer);
    this.live.close();
  }

  /** The newest lines, without those that wait; they are there for who scrolls up. */
  skip(): void {
    this.paused = false;
    this.again();
  }

  pause(paused: boolean): void {
    this.paused = paused;
    this.goOn();
  }

  /** Whether the newest line is in sight, so that newer ones may move it. */
  follow(following: boolean): void {
    if (following === this.following) return;
    this.following = following;
    this.goOn();
  }

  /** Lines before the first one. */
  async older(): Promise<void> {
    const state = this.shown;
    if (this.loadingOlder || !this.more || state === null || this.window.lines.length === 0) return;
    this.loadingOlder = true;
    const { signal } = this.abort;
    const { pages } = this;
    // What is asked while another search is under way may be answered after that one.
    const late = (): boolean => signal.aborted || pages !== this.pages;
    try {
      const answer = await page(params(state), OLDER, signal, this.before());
      if (late()) return;
      this.cursor = answer.cursor;
      this.window.trimmedFront = false;
      this.more = answer.more;
      this.damaged = Math.max(this.damaged, answer.damaged);
      const { removed } = this.window.prepend(answer.lines);
      if (removed.length > 0) this.giveBack(removed.map((line) => line.log));
      this.version += 1;
      this.olderError = null;
    } catch (error) {
      if (!late()) this.olderError = error instanceof Error ? error : new Error(String(error));
    } finally {
      this.loadingOlder = false;
    }
  }

  private before(): { cursor?: string; before?: string; until?: string } {
    if (this.cursor !== null && !this.window.trimmedFront) return { cursor: this.cursor };
    const before = this.window.before();
    // Too many instances for an address: what comes twice by this is known, and left out.
    return before === null ? { until: this.window.lines[0].log.timestamp } : { before };
  }

  private async first(state: LogState, began: number, settled: number, failures = 0): Promise<void> {
    const abort = new AbortController();
    this.abort = abort;
    try {
      const answer = await page(params(state), FIRST, abort.signal);
      if (abort.signal.aborted) return;
      this.begin(state, answer);
      if (isOpen(state)) this.opening = setTimeout(() => this.open(state), settled);
      await tick();
      requestAnimationFrame(() => performance.measure('logs:search', { start: began }));
    } catch (error) {
      if (abort.signal.aborted) return;
      this.error = error instanceof Error ? error : new Error(String(error));
      // What is written now belongs to a search that nobody has any more.
      this.live.close();
      this.undim();
      // What passes is asked again without anybody's click.
      const wait = again(error, failures + 1);
      const ask = (): void => void this.first(state, began, settled, failures + 1);
      if (wait !== null) this.timer = setTimeout(ask, wait);
    }
  }

  private begin(state: LogState, answer: LogPage): void {
    this.live.close();
    this.drop();
    this.window.clear();
    this.window.append(answer.lines);
    this.progress.begin(answer.lines, answer.at);
    this.shown = state;
    this.pages += 1;
    this.error = this.olderError = null;
    this.more = answer.more;
    this.cursor = answer.cursor;
    this.damaged = answer.damaged;
    this.following = true;
    this.undim();
    this.version += 1;
    this.onreset();
  }

  private undim(): void {
    clearTimeout(this.dim);
    this.dim = undefined;
    this.stale = false;
  }

  private open(state: LogState): void {
    this.live.open<LogLine>({
      path: '/api/logs',
      query: () => {
        const { since, ...rest } = params(state);
        // Nothing was there: what comes first is new.
        const at = { limit: '1000', since: since as string | undefined, ...this.progress.query(Date.now()) };
        return search(rest, { ...at, follow: 'true' });
      },
      receive: (messages) => this.receive(messages),
    });
  }

  private receive(messages: Message<LogLine>[]): void | Promise<void> {
    const fresh: LogLine[] = [];
    if (this.isHeld) this.holdQueue();
    for (const { data } of messages) {
      if (this.full) break;
      if (!this.progress.take(data)) continue;
      fresh.push(data);
      if (this.isHeld) this.hold(data);
    }
    this.oncounted(fresh);
    if (this.isHeld) {
      this.waiting = this.held.length;
      if (this.full) this.live.close();
      return;
    }
    for (const log of fresh) this.queue.push(log);
    this.queued ??= this.flushSoon();
    // Faster than it can be shown: the connection is read when it was.
    if (this.queue.length > 2000) return this.queued;
  }

  private get isHeld(): boolean {
    return this.paused || !this.following;
  }

  private hold(log: LogLine): void {
    this.held.push(log);
    this.heldLetters += log.message.length;
    this.full = this.held.length >= WAITING_MAX || this.heldLetters >= WAITING_LETTERS_MAX;
  }

  private async flushSoon(): Promise<void> {
    await new Promise<void>((resolve) => {
      // A page that nobody sees has no frames.
      if (document.visibilityState === 'visible') requestAnimationFrame(() => resolve());
      else setTimeout(resolve, 250);
    });
    this.queued = null;
    if (this.isHeld) return this.holdQueue();
    const queue = this.queue;
    this.queue = [];
    if (queue.length > 0) this.append(queue);
  }

  private holdQueue(): void {
    for (const log of this.queue) this.hold(log);
    this.queue = [];
    this.waiting = this.held.length;
  }

  private append(logs: readonly LogLine[]): void {
    const gone = this.window.append(logs);
    if (gone > 0) this.more = true;
    this.version += 1;
  }

  /** What waited is shown, and the stream goes on behind it. */
  private goOn(): void {
    if (this.isHeld) return;
    const { full, shown } = this;
    const waited = [...this.held, ...this.queue];
    this.drop();
    if (waited.length > 0) this.append(waited);
    if (!full || shown === null || this.error !== null) return;
    if (isOpen(shown)) this.open(shown);
    else this.again();
  }

  private drop(): void {
    this.held = [];
    this.queue = [];
    this.heldLetters = 0;
    this.waiting = 0;
    this.full = false;
  }

  /** The newest lines make room for old ones: they come again when somebody goes there. */
  private giveBack(logs: readonly LogLine[]): void {
    const all = [...logs, ...this.held, ...this.queue];
    this.live.close();
    this.progress.rewind(all);
    this.drop();
    this.waiting = all.length;
    this.following = false;
    this.full = true;
  }
}
