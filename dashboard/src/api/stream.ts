// A stream of the API that heals by itself: logs, events, the overview.
//
//   connecting ──headers──> live ──ends, breaks, silent──> lost ──back-off──> connecting …
//        └──4xx──> refused (nothing is tried again: it would be refused again)
//
// Each is a WebSocket, or an answer that goes on where there is no way for one. Of such answers a browser reads six at a time
// for all windows of a daemon together, so a page that nobody sees gives its own back.
import { again, backOff } from './again';
import { ApiError, address, send, type Query } from './client';
import { linesOf, ndjson, type Message } from './framing';
import { openSocket, type Lines } from './socket';

export type StreamState = 'connecting' | 'live' | 'lost' | 'refused' | 'closed';

export type StreamOptions<T> = {
  path: string;
  /** Asked for anew at each connection, so that a reader can go on where it was. A text is the query as it is sent. */
  query: () => Query | string;
  /** All messages of a chunk at once; a promise holds the reader up, and the daemon with it. */
  receive: (messages: Message<T>[]) => void | Promise<void>;
  state: (state: StreamState, detail: { error: Error | null; retryAt: number | null }) => void;
  /** Called at each connection, before its first message. */
  opened?: () => void;
  /** Called for whatever comes, a sign of life too. */
  heard?: () => void;
  /** Milliseconds without a byte after which the connection counts as lost. */
  silence?: number;
};

export type Stream = { close: () => void; retry: () => void };

/** A connection that lived so long was a good one: the next back-off begins anew. */
const GOOD = 5_000;
/** Where nothing happens the daemon gives a sign of life every 8 s; one of them may be late. */
const SILENCE = 20_000;
/** Who only looks into another tab for a moment finds all as it was. */
const UNSEEN = 5_000;

/** Opens a stream; it goes on until it is closed. */
export function openStream<T>(options: StreamOptions<T>): Stream {
  const reader = new Reader(options);
  reader.start();
  return { close: () => reader.close(), retry: () => reader.retry() };
}

class Reader<T> {
  private abort = new AbortController();
  private closed = false;
  private failures = 0;
  private wake: (() => void) | null = null;
  /** Nobody has seen the page for a while. */
  private unseen = false;
  private leaving: ReturnType<typeof setTimeout> | undefined;
  private readonly looked = (): void => {
    clearTimeout(this.leaving);
    if (document.visibilityState === 'visible') {
      this.unseen = false;
      this.retry();
    } else this.leaving = setTimeout(() => this.leave(), UNSEEN);
  };

  constructor(private readonly options: StreamOptions<T>) {}

  start(): void {
    window.addEventListener('online', this.looked);
    document.addEventListener('visibilitychange', this.looked);
    this.looked();
    void this.run();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.leaving);
    window.removeEventListener('online', this.looked);
    document.removeEventListener('visibilitychange', this.looked);
    this.abort.abort();
    this.wake?.();
    this.options.state('closed', { error: null, retryAt: null });
  }

  /** Ends a wait at once; a stream that lives is left alone. */
  retry(): void {
    this.wake?.();
  }

  private leave(): void {
    this.unseen = true;
    this.abort.abort();
    this.wake?.();
  }

  private async run(): Promise<void> {
    while (!this.closed) {
      if (this.unseen) {
        await this.pause(null);
        continue;
      }
      this.options.state('connecting', { error: null, retryAt: null });
      const began = performance.now();
      const error = await this.connect();
      if (this.closed) return;
      if (this.unseen) {
        this.failures = 0;
        continue;
      }
      if (error instanceof ApiError && isFinal(error)) {
        this.options.state('refused', { error, retryAt: null });
        return;
      }
      this.failures = performance.now() - began > GOOD ? 1 : this.failures + 1;
      const delay = again(error, this.failures) ?? backOff(this.failures);
      this.options.state('lost', { error, retryAt: Date.now() + delay });
      await this.pause(delay);
    }
  }

  /** One connection, to its end; the error that ended it, or null. */
  private async connect(): Promise<Error | null> {
    this.abort = new AbortController();
    const { path, query, silence = SILENCE } = this.options;
    let watch = this.watch(silence);
    try {
      const asked = query();
      const url = typeof asked === 'string' ? `${path}?${asked}` : address(path, {}, asked);
      const body = (await openSocket(url, this.abort.signal)) ?? (await this.answer(url));
      if (this.closed || body === null) return null;
      this.options.opened?.();
      this.options.state('live', { error: null, retryAt: null });
      const parser = ndjson<T>();
      for await (const lines of body) {
        clearTimeout(watch);
        this.options.heard?.();
        const messages = parser(lines);
        if (messages.length > 0) await this.options.receive(messages);
        watch = this.watch(silence);
      }
      return null;
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    } finally {
      clearTimeout(watch);
    }
  }

  /** The lines of an answer that goes on. */
  private async answer(url: string): Promise<Lines | null> {
    const signal = this.abort.signal;
    signal.throwIfAborted();
    const headers = { Accept: 'application/x-ndjson; keep-alive=1' };
    const { body } = await send(url, { headers, signal });
    return body && linesOf(body);
  }

  private watch(silence: number): ReturnType<typeof setTimeout> {
    return setTimeout(() => this.abort.abort(), silence);
  }

  /** Until somebody wakes it, or the delay is over. */
  private pause(delay: number | null): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.wake = null;
        resolve();
      };
      const timer = delay === null ? undefined : setTimeout(done, delay);
      this.wake = done;
    });
  }
}

/** Whether the same request would be refused again. */
function isFinal(error: ApiError): boolean {
  return error.status >= 400 && error.status < 500 && error.status !== 408 && error.status !== 429;
}
