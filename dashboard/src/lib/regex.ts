// Where a regular expression matches, in time that grows only with pattern and line: the browser's own engine may take
// hours for what the daemon's does in a millisecond, and an expression comes in links of others, too.
//
//   pattern in the syntax of Rust's regex crate ──parse──> tree ──compile──> program ──run──> ranges
//                                                  └ what is not known here: null, and nothing is marked
import { compile, type Step } from './regex-compile';

/** Steps in one line; after them what was found is all. */
const STEPS_MAX = 1_500_000;

export type Range = [from: number, to: number];

export class Pattern {
  private constructor(private readonly program: Step[]) {}

  /** The pattern, or null where it has something that is not known here. */
  static of(source: string): Pattern | null {
    try {
      return new Pattern(compile(source));
    } catch {
      return null;
    }
  }

  /** The first `most` matches that are not empty, from left to right; of those that begin together the preferred one. */
  ranges(text: string, most = 100): Range[] {
    const found: Range[] = [];
    const run = new Run(this.program, text);
    let at = 0;
    while (found.length < most && at <= text.length) {
      const range = run.next(at);
      if (range === null) break;
      if (range[1] > range[0]) found.push(range);
      at = range[1] > range[0] ? range[1] : range[1] + 1;
    }
    return found;
  }
}

/** Backtracking that never tries the same step at the same place twice. */
class Run {
  private steps = 0;
  private readonly seen: Uint8Array;
  private readonly width: number;

  constructor(
    private readonly program: Step[],
    private readonly text: string,
  ) {
    this.width = text.length + 1;
    this.seen = new Uint8Array(Math.min(program.length * this.width, 32 << 20));
  }

  next(from: number): Range | null {
    if (this.program.length * this.width > this.seen.length) return null;
    this.seen.fill(0);
    for (let start = from; start <= this.text.length; start++) {
      const end = this.match(start);
      if (end !== null) return [start, end];
      if (this.steps > STEPS_MAX) return null;
    }
    return null;
  }

  private match(start: number): number | null {
    const { program, text, seen, width } = this;
    const waiting: number[] = [0, start];
    while (waiting.length > 0) {
      let at = waiting.pop() as number;
      let pc = waiting.pop() as number;
      for (;;) {
        const key = pc * width + at;
        if (seen[key] === 1) break;
        seen[key] = 1;
        if (++this.steps > STEPS_MAX) return null;
        const step = program[pc];
        if (step.do === 'match') return at;
        if (step.do === 'one') {
          const code = text.codePointAt(at);
          if (code === undefined || !step.test(code)) break;
          at += code > 0xffff ? 2 : 1;
          pc += 1;
        } else if (step.do === 'fork') {
          waiting.push(step.other, at);
          pc = step.first;
        } else if (step.do === 'look') {
          if (!step.holds(text, at)) break;
          pc += 1;
        } else pc = step.to;
      }
    }
    return null;
  }
}
