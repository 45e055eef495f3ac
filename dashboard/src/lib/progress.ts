// How far a reader of a stream is, so that it goes on without a line missing or twice, whatever broke.
//
//   a page was read ──begin──> since, from    each line ──take──> new? then its place counts
import type { LogLine } from './linewindow';

type Place = { seq: number; at: number };

/** Milliseconds that lines of several instances may come out of their order. */
const DISORDER = 60_000;
/** The daemon's `Date` has whole seconds, and a page takes its time. */
const PAGE_MARGIN = 3000;
const LETTERS_MAX = 6000;

export class Progress {
  private places = new Map<string, Place>();
  /** All lines before are here, of instances that have no place. */
  private since: number | null = null;
  private openedAt = Infinity;
  private newest = 0;

  /** A page with the newest lines was read at `asked` of the daemon's clock. */
  begin(page: readonly LogLine[], asked: number | null): void {
    this.places.clear();
    this.newest = 0;
    this.openedAt = Infinity;
    for (const log of page) this.keep(log);
    this.since = asked === null ? null : asked - PAGE_MARGIN;
    // What was found long ago says nothing of how far the reader is: from there on it would be read all again.
    for (const [instance, place] of this.places)
      if (this.since !== null && place.at < this.since) this.places.delete(instance);
  }

  /** Whether the line is new; then it counts as read. */
  take(log: LogLine): boolean {
    if (log.seq === undefined) return true;
    const place = this.places.get(log.instance);
    // An instance that was erased and made anew counts from the beginning, later.
    if (place !== undefined && log.seq <= place.seq && Date.parse(log.timestamp) <= place.at) return false;
    this.keep(log);
    return true;
  }

  /** Lines were given back, the last ones first: they are to come again. */
  rewind(lines: readonly LogLine[]): void {
    for (const log of [...lines].reverse()) {
      if (log.seq === undefined) continue;
      const at = Date.parse(log.timestamp);
      this.places.set(log.instance, { seq: log.seq - 1, at: at - 1 });
      this.newest = Math.min(this.newest, at);
      this.since = this.since === null ? null : Math.min(this.since, at - PAGE_MARGIN);
    }
  }

  /** Where the stream goes on, for `from=` and `since=`; empty where nothing is known and all is to come. */
  query(now: number): { from?: string; since?: string } {
    if (this.newest > this.openedAt && this.since !== null)
      this.since = Math.max(this.since, this.newest - DISORDER);
    this.openedAt = now;
    if (this.since === null && this.places.size === 0) return {};
    let since = this.since ?? 0;
    let from = '';
    for (const [instance, { seq, at }] of [...this.places].sort((a, b) => b[1].at - a[1].at)) {
      const one = `${instance}:${seq + 1}@${at}`;
      if (from.length + one.length < LETTERS_MAX) from += `${from === '' ? '' : ','}${one}`;
      // No room for all: the others begin where the one that was silent longest did, and what comes again is known.
      else since = Math.min(since, at);
    }
    return { from, since: new Date(since).toISOString() };
  }

  private keep(log: LogLine): void {
    if (log.seq === undefined) return;
    const at = Date.parse(log.timestamp);
    const place = this.places.get(log.instance);
    if (place === undefined || log.seq > place.seq || at > place.at)
      this.places.set(log.instance, { seq: log.seq, at });
    if (at > this.newest) this.newest = at;
  }
}
