// How many lines of which level there are over time: asked for once it is settled what of, then counted on with the lines that come.
// One question at a time: the daemon carries each out to its end, whoever went away meanwhile, and searches would wait for them.
import { send, type Schemas } from '../../api/client';
import { LEVELS, count, type Bucket, type Level } from '../../lib/brush';
import type { LogLine } from '../../lib/linewindow';
import { params, search, type LogState } from '../../lib/logfilter';

const SETTLED = 400;
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
  private readonly abort = new AbortController();
  /** One is under way; another one is to follow. */
  private running = false;
  private due = false;
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
    this.loading = true;
    this.due = true;
    this.timer = setTimeout(() => void this.load(), delay);
  }

  private async load(): Promise<void> {
    if (this.wanted === null || this.running) return;
    this.running = true;
    this.due = false;
    await this.ask(search(params(this.wanted, false), { buckets: String(this.width) }));
    this.running = false;
    // Another one was wanted meanwhile.
    if (this.due) this.again(0);
    else this.loading = false;
  }

  private async ask(query: string): Promise<void> {
    const { abort } = this;
    try {
      const response = await send(`/api/logs/histogram?${query}`, { signal: abort.signal });
      const answer = (await response.json()) as Schemas['LogHistogram'];
      if (abort.signal.aborted || this.due) return;
      this.interval = answer.interval_ms;
      this.buckets = answer.buckets.map((one) => ({ start: Date.parse(one.start), levels: one.levels }));
      this.error = null;
    } catch (error) {
      if (abort.signal.aborted) return;
      this.error = error instanceof Error ? error : new Error(String(error));
      this.buckets = [];
    }
  }
}
