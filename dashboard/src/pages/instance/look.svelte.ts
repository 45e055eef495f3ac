// What the instance page knows of its instance: status and figures from its stream; what that does not say is asked
// for when it says that something is another than it was, and seldom else.
//
//   stream ──> row ──another than it was──> at once, and when it had a rest: details, events
import { untrack } from 'svelte';
import { ApiError, get, type Answer } from '../../api/client';
import type { Row } from '../../api/types';
import type { EventFeed } from '../../stores/eventfeed.svelte';
import { overview } from '../../stores/overview.svelte';
import { Resource } from '../../stores/resource.svelte';

export type Details = Answer<'/api/instances/{service}/{id}', 'get'>;

/** Milliseconds between two looks at what no change tells, as the last health check. */
export const PACE = 30_000;
/** However much changes: one look in so many milliseconds. The last one is after all is written down. */
const REST = 3000;

export class Look {
  /** With when it was asked for. */
  readonly asked = new Resource<Details & { at: number }>();
  private readonly one = $derived.by(() => (overview.one?.instance === this.name ? overview.one : null));
  readonly row = $derived.by(() => this.one?.row ?? null);
  private readonly current = $derived.by(() => this.one?.current ?? false);
  /** The row where it is of later than the answer; undefined where it is not. */
  private readonly said = $derived.by(() => {
    const at = this.asked.data?.at ?? Infinity;
    return this.current || (this.one?.heard ?? 0) > at ? this.row : undefined;
  });
  readonly details = $derived(this.asked.data && { ...this.asked.data, ...saidOf(this.said ?? null) });
  private readonly missing = $derived(
    this.asked.error instanceof ApiError && this.asked.error.status === 404,
  );
  /** Whether it is not there. */
  readonly unknown = $derived(
    this.said === null || (this.missing && !(this.current && this.asked.data !== null)),
  );
  /** The answer is of before it was there, or the row of before it went. */
  private readonly denied = $derived.by(() => this.missing && this.current && this.row !== null);
  /** What the row says besides figures. */
  private readonly state = $derived.by(() => (this.current ? JSON.stringify(saidOf(this.row)) : null));
  private readonly name: string;
  private known: string | null = null;
  private looked = 0;
  private due: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly service: string,
    private readonly id: string,
    private readonly events: EventFeed,
  ) {
    this.name = `${service}:${id}`;
  }

  refresh(): void {
    this.looked = performance.now();
    const path = { service: this.service, id: this.id };
    void this.asked.renew(async (signal) => {
      const at = performance.now();
      return { ...(await get('/api/instances/{service}/{id}', { path, signal })), at };
    });
    void this.events.look();
  }

  /** Refreshes while the page is seen; returns what ends that. */
  keep(): () => void {
    const close = overview.follow(this.name);
    untrack(() => this.refresh());
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') this.refresh();
    }, PACE);
    return () => {
      close();
      clearInterval(timer);
      clearTimeout(this.due);
      this.asked.cancel();
    };
  }

  /** Refreshes when something is another than it was; an effect. */
  heed(): void {
    const { state, known, denied } = this;
    if (state === null || (state === known && !denied)) return;
    this.known = state;
    // What was asked for before the stream was there may be of before; what is under way is waited for.
    if (known === null && !denied && untrack(() => this.asked.loading)) return;
    clearTimeout(this.due);
    this.due = setTimeout(() => this.refresh(), REST);
    if (denied || performance.now() - this.looked > REST) untrack(() => this.refresh());
  }
}

function saidOf(row: Row | null) {
  if (row === null) return null;
  const { status, health, restarts: restart_count, reason, pid } = row;
  return { status, health, restart_count, reason: reason ?? undefined, pid: pid ?? undefined };
}
