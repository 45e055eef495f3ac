// What the instance page knows of its instance: status and figures from the stream of all; what that does not say is asked
// for when it says that something is another than it was, and seldom else.
//
//   stream ──> row ──another than it was──> at once, and when it had a rest: details, events
import { untrack } from 'svelte';
import { get, type Answer } from '../../api/client';
import type { EventFeed } from '../../stores/eventfeed.svelte';
import { overview } from '../../stores/overview.svelte';
import { Resource } from '../../stores/resource.svelte';

export type Details = Answer<'/api/instances/{service}/{id}', 'get'>;

/** Milliseconds between two looks at what no change tells, as the last health check. */
export const PACE = 30_000;
/** However much changes: one look in so many milliseconds. The last one is after all is written down. */
const REST = 3000;

export class Look {
  readonly asked = new Resource<Details>();
  readonly row = $derived.by(() => overview.row(`${this.service}:${this.id}`));
  /** As the stream says it, where it does. */
  readonly details = $derived(this.asked.data && { ...this.asked.data, ...saidOf(this.row) });
  /** What the row says besides figures. */
  private readonly state = $derived(overview.current ? JSON.stringify(saidOf(this.row)) : null);
  private known: string | null = null;
  private looked = 0;
  private due: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly service: string,
    private readonly id: string,
    private readonly events: EventFeed,
  ) {}

  refresh(): void {
    this.looked = performance.now();
    const path = { service: this.service, id: this.id };
    void this.asked.renew((signal) => get('/api/instances/{service}/{id}', { path, signal }));
    void this.events.look();
  }

  /** Refreshes while the page is seen; returns what ends that. */
  keep(): () => void {
    const close = overview.open();
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
    const { state, known } = this;
    if (state === null || state === known) return;
    this.known = state;
    // What was asked for before the stream was there may be of before.
    if (known === null && untrack(() => this.asked.data === null)) return;
    clearTimeout(this.due);
    this.due = setTimeout(() => this.refresh(), REST);
    if (performance.now() - this.looked > REST) untrack(() => this.refresh());
  }
}

function saidOf(row: Look['row']) {
  if (row === null) return null;
  const { status, health, restarts: restart_count, reason, pid } = row;
  return { status, health, restart_count, reason: reason ?? undefined, pid: pid ?? undefined };
}
