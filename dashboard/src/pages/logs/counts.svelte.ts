// How many lines of which level there are over time: asked for once it is settled what of, then counted on with the lines that come.
import { send, type Schemas } from '../../api/client';
import { LEVELS, count, type Bucket, type Level } from '../../lib/brush';
import type { LogLine } from '../../lib/linewindow';
import { params, search, type LogState } from '../../lib/logfilter';

const SETTLED = 250;
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
    if (logs.length === 0 || this.buckets.length === 0 || this.loading) return;
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
    this.abort.abort();
    this.loading = true;
    this.timer = setTimeout(() => void this.load(), delay);
  }

  private async load(): Promise<void> {
    if (this.wanted === null) return;
    const abort = new AbortController();
    this.abort = abort;
    const query = search(params(this.wanted, false), { buckets: String(this.width) });
    try {
      const response = await send(`/api/logs/histogram?${query}`, { signal: abort.signal });
      const answer = (await response.json()) as Schemas['LogHistogram'];
      if (abort.signal.aborted) return;
      this.interval = answer.interval_ms;
      this.buckets = answer.buckets.map((one) => ({ start: Date.parse(one.start), levels: one.levels }));
      this.error = null;
      this.loading = false;
    } catch (error) {
      if (abort.signal.aborted) return;
      this.error = error instanceof Error ? error : new Error(String(error));
      this.buckets = [];
      this.loading = false;
    }
  }
}
