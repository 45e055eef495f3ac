// The lines that are in memory: a window over a log that is far longer, bounded in lines and letters.
//
//   older pages ──prepend──> [ first … last ] <──append── stream
//                     what is too much goes at the other end
import type { Schemas } from '../api/client';

export type LogLine = Schemas['LogLine'];
/** `ord` counts up through the window; a line keeps it as long as it is there. */
export type Line = { ord: number; at: number; log: LogLine };

export const LINES_MAX = 20_000;
export const LETTERS_MAX = 24_000_000;
/** Taken away at once: each time costs as much as there are lines. */
const SPARE = 2000;

/** The instance and place of a line, as links have it: `service:id:seq@time`. In another life the place is another line's. */
export function placeOf(log: LogLine): string {
  return `${log.instance}:${log.seq ?? 0}@${Date.parse(log.timestamp)}`;
}

export class LineWindow {
  lines: Line[] = [];
  private letters = 0;
  private last = 0;
  private first = 1;
  /** The lowest place of each instance, by which older pages are asked for. */
  private lowest = new Map<string, number>();
  /** Lines older than these were here, and are not any more. */
  trimmedFront = false;

  constructor(
    private readonly linesMax = LINES_MAX,
    private readonly lettersMax = LETTERS_MAX,
    private readonly spare = SPARE,
  ) {}

  clear(): void {
    this.lines = [];
    this.letters = 0;
    // Numbers are not given twice: who remembers one does not mean another line by it.
    this.first = this.last + 1;
    this.lowest.clear();
    this.trimmedFront = false;
  }

  /** Adds newer lines; returns how many went away at the front. */
  append(logs: readonly LogLine[]): number {
    const added = logs.map((log) => ({ ord: ++this.last, at: Date.parse(log.timestamp), log }));
    this.lines = this.lines.concat(added);
    for (const { log } of added) {
      this.letters += log.message.length;
      if (log.seq !== undefined && !this.lowest.has(log.instance)) this.lowest.set(log.instance, log.seq);
    }
    const over = this.over((i) => this.lines[i]);
    if (over > 0) {
      this.lines = this.lines.slice(over);
      this.first = this.lines[0]?.ord ?? this.last + 1;
      this.trimmedFront = true;
      this.count();
    }
    return over;
  }

  /** Adds older lines, in ascending time, but for those that are here; returns how many, and what went away at the end. */
  prepend(logs: readonly LogLine[]): { added: number; removed: Line[] } {
    const fresh = logs.filter((log) => {
      const lowest = this.lowest.get(log.instance);
      return log.seq === undefined || lowest === undefined || log.seq < lowest;
    });
    this.first -= fresh.length;
    const added = fresh.map((log, i) => ({ ord: this.first + i, at: Date.parse(log.timestamp), log }));
    for (const { log } of added) this.letters += log.message.length;
    this.lines = added.concat(this.lines);
    const n = this.lines.length;
    const over = this.over((i) => this.lines[n - 1 - i]);
    const removed = over > 0 ? this.lines.splice(n - over) : [];
    this.last = this.lines.at(-1)?.ord ?? this.first - 1;
    this.count();
    return { added: fresh.length, removed };
  }

  /** For `before=`: the first line of each instance; null where that would be longer than an address may be. */
  before(lettersMax = 6000): string | null {
    const text = [...this.lowest].map(([instance, seq]) => `${instance}:${seq}`).join(',');
    return text.length > lettersMax ? null : text;
  }

  /** How many lines from one end are too much; then some more, so that it is not often. */
  private over(line: (i: number) => Line): number {
    let n = 0;
    const drop = (): void => {
      this.letters -= line(n).log.message.length;
      n += 1;
    };
    if (this.lines.length > this.linesMax)
      while (this.lines.length - n > this.linesMax - this.spare && n < this.lines.length - 1) drop();
    if (this.letters > this.lettersMax)
      while (this.letters > this.lettersMax * 0.9 && n < this.lines.length - 1) drop();
    return n;
  }

  private count(): void {
    this.lowest.clear();
    for (const { log } of this.lines)
      if (log.seq !== undefined && !this.lowest.has(log.instance)) this.lowest.set(log.instance, log.seq);
  }
}
