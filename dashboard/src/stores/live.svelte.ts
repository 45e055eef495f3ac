// A stream whose state a component can show, and the state of all streams that the shell shows.
import { untrack } from 'svelte';
import { openStream, type Stream, type StreamOptions, type StreamState } from '../api/stream';

/** The state of one stream. `since` is when what it shows began to be old. */
export class Live {
  state = $state<StreamState>('connecting');
  error = $state.raw<Error | null>(null);
  retryAt = $state<number | null>(null);
  since = $state<number | null>(null);
  private stream: Stream | null = null;
  /** When what is shown was true the last time. */
  private last = 0;

  /**
   * Opens a stream in place of the one before; the component closes it when it goes. `kept`: what that one brought is shown
   * on, as old as it is.
   */
  open<T>(options: Omit<StreamOptions<T>, 'state' | 'heard'> & { kept?: boolean }): void {
    this.close();
    connection.add(this);
    if (!options.kept) this.last = Date.now();
    this.stream = openStream<T>({
      ...options,
      // Where nothing happens what is shown is true all the same, as long as the daemon says that it is there.
      heard: () => (this.last = Date.now()),
      state: (state, detail) => {
        this.state = state;
        this.error = detail.error;
        this.retryAt = detail.retryAt;
        if (state === 'live') {
          this.since = null;
          this.last = Date.now();
        } else if (state === 'lost') this.since ??= this.last;
      },
    });
  }

  close(): void {
    this.stream?.close();
    this.stream = null;
    // What was given up is not tried again.
    this.since = null;
    connection.remove(this);
  }

  retry(): void {
    this.stream?.retry();
  }
}

class Connection {
  private all = $state.raw<Live[]>([]);
  /** The worst of the page's streams, or null when it has none. */
  readonly state = $derived(worst(this.all.map((live) => (live.since === null ? live.state : 'lost'))));

  add(live: Live): void {
    // An effect that opens a stream must not run again because one is open.
    const all = untrack(() => this.all);
    if (!all.includes(live)) this.all = [...all, live];
  }

  remove(live: Live): void {
    this.all = untrack(() => this.all).filter((one) => one !== live);
  }
}

function worst(states: StreamState[]): StreamState | null {
  const order: StreamState[] = ['refused', 'lost', 'connecting', 'live'];
  return order.find((state) => states.includes(state)) ?? null;
}

export const connection = new Connection();
