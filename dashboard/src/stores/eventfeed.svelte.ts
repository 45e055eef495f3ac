// Events, the newest first: a page of them, those that happen meanwhile, and older ones when somebody asks.
//
//   GET /api/events ──> the newest, how many there are ──> stream after the last one ──> in front
//                                                     └──> more(): with an offset ──> behind
import { untrack } from 'svelte';
import { again } from '../api/again';
import { get, wordsOf } from '../api/client';
import type { Cause, Happened } from '../lib/story';
import { Live } from './live.svelte';

export type EventFilter = { service?: string; instance?: string; cause?: Cause; since?: string };

/** As many as are kept here; older ones can be asked for again. */
const MOST = 5000;

export class EventFeed {
  events = $state.raw<Happened[]>([]);
  /** Whether the first page is there. */
  ready = $state(false);
  slow = $state(false);
  error = $state.raw<Error | null>(null);
  hasMore = $state(false);
  loadingMore = $state(false);
  /** Why older ones could not be had. */
  moreError = $state<string | null>(null);
  readonly live = new Live();
  private abort = new AbortController();
  private filter: EventFilter = {};
  private again: ReturnType<typeof setTimeout> | undefined;
  /** Until then it is not looked for new ones. */
  private quiet = 0;

  /** `follows`: by a stream of its own; else who has it says when to look for new ones. */
  constructor(
    private readonly size = 100,
    private readonly follows = true,
  ) {}

  /** Begins anew with another filter. */
  open(filter: EventFilter): void {
    this.close();
    this.filter = filter;
    this.events = [];
    this.ready = false;
    this.error = null;
    this.hasMore = false;
    void this.begin(this.abort);
  }

  close(): void {
    clearTimeout(this.again);
    this.abort.abort();
    this.abort = new AbortController();
    this.live.close();
  }

  /** Those before the oldest that is there. */
  async more(): Promise<void> {
    if (this.loadingMore) return;
    this.loadingMore = true;
    this.moreError = null;
    const { signal } = this.abort;
    try {
      const query = { ...this.filter, limit: this.size, offset: this.events.length };
      const found = await get('/api/events', { query, signal });
      // Some may have happened meanwhile, which moves the page by as many.
      const oldest = this.events.at(-1)?.id ?? Infinity;
      const older = found.events.filter((event) => event.id < oldest).reverse();
      this.events = [...this.events, ...older];
      this.hasMore = found.pagination.has_more;
    } catch (error) {
      if (!signal.aborted) this.moreError = wordsOf(error);
    } finally {
      this.loadingMore = false;
    }
  }

  private async begin(abort: AbortController, failures = 0): Promise<void> {
    const timer = setTimeout(() => (this.slow = true), 150);
    try {
      const query = { ...this.filter, limit: this.size };
      const found = await get('/api/events', { query, signal: abort.signal });
      if (abort.signal.aborted) return;
      this.events = found.events.reverse();
      this.hasMore = found.pagination.has_more;
      this.error = null;
      this.ready = true;
      if (this.follows) this.follow();
    } catch (error) {
      if (abort.signal.aborted) return;
      this.error = error instanceof Error ? error : new Error(String(error));
      // What passes is asked again without anybody's click.
      const wait = again(error, failures + 1);
      if (wait !== null) this.again = setTimeout(() => void this.begin(abort, failures + 1), wait);
    } finally {
      clearTimeout(timer);
      this.slow = false;
    }
  }

  /** Those that happened since. */
  async look(): Promise<void> {
    if (!this.ready || performance.now() < this.quiet) return;
    const { signal } = this.abort;
    const query = { ...this.filter, after: this.events[0]?.id ?? 0, limit: 1000 };
    // What could not be had is had the next time.
    const found = await get('/api/events', { query, signal }).catch((error: unknown) => {
      this.quiet = performance.now() + (again(error, 1) ?? 0);
      return null;
    });
    if (found !== null && !signal.aborted) this.take(found.events);
  }

  private follow(): void {
    const { service, instance, cause, since } = this.filter;
    this.live.open<Happened>({
      path: '/api/events',
      query: () => ({
        service,
        instance,
        cause,
        since,
        follow: true,
        after: untrack(() => this.events[0]?.id) ?? 0,
      }),
      receive: (messages) => this.take(messages.map((message) => message.data)),
    });
  }

  private take(happened: Happened[]): void {
    const newest = this.events[0]?.id ?? 0;
    const fresh = happened.filter((event) => event.id > newest).reverse();
    if (fresh.length === 0) return;
    const all = [...fresh, ...this.events];
    if (all.length > MOST) this.hasMore = true;
    this.events = all.slice(0, MOST);
  }
}
