// One instance as the stream says it, for the page that is about it: of ten thousand others it hears nothing.
import type { OverviewMessage, Row } from '../api/types';
import { parseName } from '../lib/names';
import { clock } from './clock.svelte';
import { Live } from './live.svelte';

/** `silence`: the daemon says something about the machine every 2 s. */
export const STREAM = { path: '/api/overview', silence: 12_000 } as const;

export class One {
  readonly live = new Live();
  /** As it was told last; null: it is not there, or was not told yet. */
  row = $state.raw<Row | null>(null);
  private told = $state(false);
  /** Whether it is so now: what happens while the connection is lost is not known. */
  readonly current = $derived(this.told && this.live.state === 'live');
  /** When it was so for the last time, by `performance.now()`. */
  heard = performance.now();

  constructor(
    readonly instance: string,
    known: Row | null,
  ) {
    this.row = known;
    // What can be no name is refused, and is not there.
    if (parseName(instance).instance === undefined) return;
    this.live.open<OverviewMessage>({
      ...STREAM,
      query: () => ({ instance, follow: true }),
      opened: () => (this.told = false),
      receive: (messages) => {
        for (const { data } of messages) this.take(data);
        if (this.told) this.heard = performance.now();
      },
    });
  }

  private take(message: OverviewMessage): void {
    clock.learn(message.at);
    if (message.type === 'machine') return;
    const row = message.instances.find((one) => one.instance === this.instance) ?? null;
    if (row === null && message.type === 'changes' && !message.gone.includes(this.instance)) return;
    this.row = row;
    this.told = true;
  }
}
