// How many lines of which level there are over time: asked for once it is settled what of, then counted on with the lines that come.
import { again } from '../../api/again';
import { ApiError, send, type Schemas } from '../../api/client';
import { LEVELS, count, type Bucket, type Level } from '../../lib/brush';
import type { LogLine } from '../../lib/linewindow';
import { params, search, type LogState } from '../../lib/logfilter';

const SETTLED = 400;
/** What could not be counted is asked for again: what passes by itself, else when lines come; what is wrong stays wrong. */
const AGAIN = 5000;
/** More buckets than twice what was asked for are too narrow to see. */
const MOST = 2;

export class Counts {
  buckets = $state.raw<Bucket[]>([]);
  interval = $state(0);
  error = $state.raw<Error | null>(null);
  loading = $state(false);
  readonly levels = $derived.by(() => {
    const all: Record<Level, number> = { debug: 0, info: 0, warn: 0, error: 0 };
    for (const bucket of this.buckets) for (const level of LEVELS) all[level] += bucket.levels[level];
    return all;
  });
  /** Whether they are of all that is asked for. */
  readonly settled = $derived(!this.loading && this.error === null);
  private asked: string | null = null;
  private wanted: LogState | null = null;
  private width = 100;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private abort = new AbortController();
  private redraw: ReturnType<typeof setTimeout> | undefined;

  /** Counts what belongs to this state, whatever its levels. */
  show(state: LogState, buckets: number, typed: boolean): void {
    const asked = search(params(state, false));
    this.wanted = state;
    this.width = buckets;
    if (asked === this.asked) return;
    this.asked = asked;
    this.again(typed ? SETTLED : 0);
  }

  close(): void {
    clearTimeout(this.timer);
    clearTimeout(this.redraw);
    this.abort.abort();
  }

  /** Counts on. */
  add(logs: readonly LogLine[]): void {
    if (logs.length === 0 || this.loading || this.asked === null) return;
    if (this.error !== null) {
      const wrong = this.error instanceof ApiError && this.error.status === 400;
      if (!wrong && again(this.error, 1) === null) this.again(AGAIN);
      return;
    }
    // There were no lines at all: now there are.
    if (this.buckets.length === 0) return this.again(SETTLED);
    for (const log of logs) {
      if (log.dropped !== undefined) continue;
      const level = LEVELS.find((one) => one === log.level) ?? 'info';
      if (!count(this.buckets, this.interval, this.width * MOST, Date.parse(log.timestamp), level)) {
        this.again(SETTLED);
        return;
      }
    }
    this.redraw ??= setTimeout(() => {
      this.redraw = undefined;
      this.buckets = [...this.buckets];
    }, 250);
  }

  private again(delay: number): void {
    clearTimeout(this.timer);
    // The daemon gives up what nobody waits for.
    this.abort.abort();
    this.abort = new AbortController();
    const { signal } = this.abort;
    this.loading = true;
    this.timer = setTimeout(() => void this.load(signal), delay);
  }

  private async load(signal: AbortSignal, failures = 0): Promise<void> {
    if (this.wanted === null) return;
    const query = search(params(this.wanted, false), { buckets: String(this.width) });
    try {
      const response = await send(`/api/logs/histogram?${query}`, { signal });
      const answer = (await response.json()) as Schemas['LogHistogram'];
      if (signal.aborted) return;
      this.interval = answer.interval_ms;
      this.buckets = answer.buckets.map((one) => ({ start: Date.parse(one.start), levels: one.levels }));
      this.error = null;
    } catch (error) {
      if (signal.aborted) return;
      this.error = error instanceof Error ? error : new Error(String(error));
      this.buckets = [];
      const wait = again(error, failures + 1);
      if (wait !== null) this.timer = setTimeout(() => void this.load(signal, failures + 1), wait);
    }
    this.loading = false;
  }
}
