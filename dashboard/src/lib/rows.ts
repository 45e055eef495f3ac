// The rows of the overview as the stream tells them: plain maps, because ten thousand of them change all the time.
//
//   snapshot (parts) ──> rows; with the last part, what it did not name is gone
//   changes ──────────> rows, Index
//   every 10 s ───────> one more sample in each sparkline
import type { OverviewMessage, Row, Status } from '../api/types';
import { Index, facetsOf, type Facets, type View } from './table';

export const SAMPLES = 30;

/** How many are in which status. */
export type Counts = Record<Status, number> & { total: number };

type Before = Map<string, Row | undefined>;

export class Rows {
  readonly index = new Index();
  private readonly all = new Map<string, Row>();
  private readonly sparks = new Map<string, Float32Array>();
  private seen: Set<string> | null = null;
  // What the index still holds of the rows that changed since it was brought up to date; null while it holds no view.
  private before: Before | null = null;

  get size(): number {
    return this.all.size;
  }

  get(instance: string): Row | undefined {
    return this.all.get(instance);
  }

  /** Requests per second, the last samples; the same array all the time. */
  spark(instance: string): ArrayLike<number> {
    return this.sparks.get(instance) ?? [];
  }

  /** A connection begins: what its snapshot does not name is gone. */
  begin(): void {
    this.seen = new Set();
  }

  /** Takes a message; says whether all rows are there now. */
  take(message: OverviewMessage): boolean {
    if (message.type === 'machine') return false;
    for (const row of message.instances) this.put(row);
    if (message.type === 'changes') {
      for (const instance of message.gone) this.drop(instance);
      return false;
    }
    for (const row of message.instances) this.seen?.add(row.instance);
    if (message.more) return false;
    this.sweep();
    return true;
  }

  /** Brings the index up to date; says whether anything changed. */
  settle(): boolean {
    if (this.before === null || this.before.size === 0) return false;
    this.index.apply(
      [...this.before].map(([instance, before]) => ({ before, after: this.all.get(instance) })),
    );
    this.before = new Map();
    return true;
  }

  /** What the index is of; null: of nothing, and it is not kept up. */
  view(view: View | null): void {
    this.before = view && new Map();
    if (view !== null) this.index.reset(view, this.all.values());
  }

  facets(view: View): Facets {
    return facetsOf(this.all.values(), view);
  }

  /** How many of each service there are. */
  counts(): Map<string, Counts> {
    const counts = new Map<string, Counts>();
    for (const { service, status } of this.all.values()) {
      const own = counts.get(service) ?? noCounts();
      own[status] += 1;
      own.total += 1;
      counts.set(service, own);
    }
    return counts;
  }

  /** One more sample in each sparkline. */
  sample(): void {
    for (const row of this.all.values()) {
      const spark = this.sparks.get(row.instance);
      if (spark === undefined) continue;
      spark.copyWithin(0, 1);
      spark[SAMPLES - 1] = row.rps;
    }
  }

  clear(): void {
    this.all.clear();
    this.sparks.clear();
    this.seen = null;
    this.before &&= new Map();
    this.index.sorted = [];
  }

  private put(row: Row): void {
    const before = this.all.get(row.instance);
    this.note(row.instance, before);
    this.all.set(row.instance, row);
    if (row.spark !== undefined) {
      const spark = new Float32Array(SAMPLES);
      const given = row.spark.slice(-SAMPLES);
      spark.set(given, SAMPLES - given.length);
      this.sparks.set(row.instance, spark);
      // A second copy of it for each row would only take memory.
      row.spark = undefined;
    } else if (before === undefined) {
      this.sparks.set(row.instance, new Float32Array(SAMPLES));
    }
  }

  private drop(instance: string): void {
    const before = this.all.get(instance);
    if (before === undefined) return;
    this.note(instance, before);
    this.all.delete(instance);
    this.sparks.delete(instance);
  }

  private note(instance: string, before: Row | undefined): void {
    if (this.before?.has(instance) === false) this.before.set(instance, before);
  }

  private sweep(): void {
    const seen = this.seen;
    this.seen = null;
    if (seen === null) return;
    for (const instance of [...this.all.keys()]) if (!seen.has(instance)) this.drop(instance);
  }
}

export function noCounts(): Counts {
  return {
    total: 0,
    running: 0,
    starting: 0,
    restarting: 0,
    stopping: 0,
    sleeping: 0,
    stopped: 0,
    failed: 0,
  };
}
