// The one stream of what there is now, for all pages that show much of it, and what a frame shows of it. A page that is
// about one instance has a stream of that one.
//
//   stream ──> queue ──one animation frame──> Rows (plain) ──> rows, facets, machine (raw state: replaced, never deep)
//
// Rows are put in order and counted only while the table is shown.
// A frame spends at most BUDGET on the queue; what is left waits for the next one.
import { untrack } from 'svelte';
import type { Machine, OverviewMessage, Row } from '../api/types';
import { History } from '../lib/history';
import { Rows, type Counts } from '../lib/rows';
import type { Facets, View } from '../lib/table';
import { clock } from './clock.svelte';
import { Live } from './live.svelte';
import { One, STREAM } from './one.svelte';
import { session } from './session.svelte';

/** Milliseconds of a frame. */
const BUDGET = 8;
/** Milliseconds between samples of a sparkline. */
const SAMPLE = 10_000;
/** Counts beside the filters cost a walk over all rows. */
const FACETS = 500;
/** Milliseconds in which rows keep still after the pointer moved over their buttons, and while something is pressed. */
const HOLD = { near: 3000, pressed: 60_000 };

class Overview {
  private readonly table = new Live();
  /** The instance that the page is about. */
  one = $state.raw<One | null>(null);
  /** The rows of the view, in its order. */
  rows = $state.raw<readonly Row[]>([]);
  facets = $state.raw<Facets>({ service: new Map(), status: new Map(), health: new Map() });
  machine = $state.raw<Machine | null>(null);
  /** All there are, whatever the view shows. */
  total = $state(0);
  /** Whether the first snapshot is complete. */
  loaded = $state(false);
  /** Whether the rows are of now, or of when the connection was lost: not of when somebody looked the last time. */
  current = $state(false);
  /** Grows with whatever is said of instances. */
  private told = $state(0);
  /** Grows with each new sample of the sparklines. */
  sampled = $state(0);
  readonly history = new History(150);
  measured = $state(0);

  private readonly plain = new Rows();
  /** Null while no table is shown. */
  private view: View | null = null;
  private queue: OverviewMessage[] = [];
  private frame = 0;
  private lastSample = 0;
  private lastFacets = 0;
  /** Rows changed since the filters were counted. */
  private uncounted = false;
  private users = 0;
  private opened = false;
  private leaving: ReturnType<typeof setTimeout> | undefined;
  private heldUntil = 0;

  /** The stream of what the page shows. */
  get live(): Live {
    return this.one?.live ?? this.table;
  }

  /** A page shows it; the function that is returned says that it does not any more. */
  open(): () => void {
    clearTimeout(this.leaving);
    this.users += 1;
    if (!this.opened) this.connect();
    return () => {
      this.users -= 1;
      // The page that comes instead goes on with it.
      if (this.users === 0) this.leaving = setTimeout(() => this.close());
    };
  }

  /** A page is about one instance; the function that is returned says that it is not any more. */
  follow(instance: string): () => void {
    const one = untrack(() => new One(instance, this.row(instance)));
    this.one = one;
    return () => {
      one.live.close();
      if (this.one === one) this.one = null;
    };
  }

  private close(): void {
    this.opened = false;
    this.table.close();
    this.queue = [];
    this.current = false;
  }

  /** Another search, order or filter; null: the table is not shown any more. */
  show(view: View | null): void {
    this.view = view;
    this.plain.view(view);
    this.publish(true);
  }

  /** Rows keep still, so that a click does not land on another one; null ends that. */
  hold(why: keyof typeof HOLD | null): void {
    this.heldUntil = why === null ? 0 : performance.now() + HOLD[why];
    if (why === null) this.publish(false);
  }

  /** Nothing is pressed any more; the click of it may still come. */
  release(): void {
    this.heldUntil = Math.min(this.heldUntil, performance.now() + HOLD.near);
  }

  get(instance: string): Row | undefined {
    return this.plain.get(instance);
  }

  /** One instance, for who shows it as it changes; null while it is not known, or not there. */
  row(instance: string): Row | null {
    if (this.one?.instance === instance) return this.one.row;
    void this.told;
    return this.current ? (this.plain.get(instance) ?? null) : null;
  }

  /** How many of each service there are, as it changes; null while it is not known. */
  counts(): ReadonlyMap<string, Counts> | null {
    void this.told;
    return this.current ? this.plain.counts() : null;
  }

  spark(instance: string): ArrayLike<number> {
    return this.plain.spark(instance);
  }

  /** Another token sees other instances. */
  forget(): void {
    this.close();
    this.plain.clear();
    this.history.clear();
    this.measured += 1;
    this.machine = null;
    this.loaded = false;
    this.publish(true);
  }

  private connect(): void {
    this.opened = true;
    this.table.open<OverviewMessage>({
      ...STREAM,
      query: () => ({ follow: true }),
      kept: this.loaded,
      opened: () => {
        this.queue = [];
        this.plain.begin();
      },
      receive: (messages) => {
        for (const message of messages) this.queue.push(message.data);
        // A page that nobody looks at gets no frames.
        if (document.hidden) this.work(Number.POSITIVE_INFINITY);
        else this.schedule();
      },
    });
  }

  private schedule(): void {
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.work(BUDGET);
    });
  }

  private work(budget: number): void {
    const end = performance.now() + budget;
    let next = 0;
    while (next < this.queue.length) {
      this.take(this.queue[next++]);
      if (performance.now() > end) break;
    }
    this.queue.splice(0, next);
    if (this.queue.length > 0) this.schedule();
    this.publish(false);
  }

  private take(message: OverviewMessage): void {
    clock.learn(message.at);
    if (message.type === 'machine') {
      this.machine = message;
      this.history.push(message);
      this.measured += 1;
      this.sample();
      return;
    }
    this.told += 1;
    if (this.plain.take(message)) {
      this.loaded = this.current = true;
      this.lastFacets = 0;
      this.lastSample = performance.now();
    }
  }

  private sample(): void {
    const now = performance.now();
    if (!this.loaded || now - this.lastSample < SAMPLE) return;
    this.lastSample = now;
    this.plain.sample();
    this.sampled += 1;
  }

  private publish(anew: boolean): void {
    if (!anew && performance.now() < this.heldUntil) return;
    this.total = this.plain.size;
    if (this.view === null) return;
    const changed = this.plain.settle() || anew;
    if (changed) this.rows = this.plain.index.sorted.slice();
    const now = performance.now();
    this.uncounted ||= changed;
    if (!this.uncounted || (!anew && now - this.lastFacets < FACETS)) return;
    this.uncounted = false;
    this.lastFacets = now;
    this.facets = this.plain.facets(this.view);
  }
}

export const overview = new Overview();
session.onEnd(() => overview.forget());
