// Where a regular expression matches, in time that grows only with pattern and line: the browser's own engine may take
// hours for what the daemon's does in a millisecond, and an expression comes in links of others, too.
//
//   pattern in the syntax of Rust's regex crate ──parse──> tree ──compile──> program ──run──> ranges
//                                                  └ what is not known here: null, and nothing is marked
import { compile, type Step } from './regex-compile';

/** Steps in one line; after them what was found is all. */
const STEPS_MAX = 50_000;

export type Range = [from: number, to: number];

export class Pattern {
  /** What the last line took. */
  steps = 0;
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
    this.steps = run.steps;
    return found;
  }
}

/**
 * Numbers, all forgotten at once. It has room for twice the steps of a line, so that a free place is always near; one of
 * another generation is free. There is one for all lines: to make and to clear it takes longer than to search most of them.
 */
const seen = {
  keys: new Uint32Array(1 << 17),
  generations: new Uint32Array(1 << 17),
  generation: 0,

  forget(): void {
    if (++this.generation <= 0xffff_ffff) return;
    this.generations.fill(0);
    this.generation = 1;
  },

  /** Whether it is new. */
  add(key: number): boolean {
    const { keys, generations, generation } = this;
    let at = Math.imul(key, 0x9e37_79b1) >>> 15;
    while (generations[at] === generation) {
      if (keys[at] === key) return false;
      at = (at + 1) & 0x1_ffff;
    }
    generations[at] = generation;
    keys[at] = key;
    return true;
  },
};

/** Backtracking that never tries the same step at the same place twice. */
class Run {
  steps = 0;
  private readonly width: number;

  constructor(
    private readonly program: Step[],
    private readonly text: string,
  ) {
    this.width = text.length + 1;
  }

  next(from: number): Range | null {
    if (this.program.length * this.width > 0xffff_ffff) return null;
    seen.forget();
    for (let start = from; start <= this.text.length; start++) {
      const end = this.match(start);
      if (end !== null) return [start, end];
      if (this.steps > STEPS_MAX) return null;
    }
    return null;
  }

  private match(start: number): number | null {
    const { program, text, width } = this;
    const waiting: number[] = [0, start];
    while (waiting.length > 0) {
      let at = waiting.pop() as number;
      let pc = waiting.pop() as number;
      for (;;) {
        // Also steps that were tried before take time.
        if (++this.steps > STEPS_MAX) return null;
        if (!seen.add(pc * width + at)) break;
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
