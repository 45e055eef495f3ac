// Which rows of a long list are in sight. Two kinds of heights: all the same, or measured as rows come into sight.

export type Heights = {
  readonly count: number;
  readonly total: number;
  /** Pixels above row `index`. */
  offset(index: number): number;
  /** The row at so many pixels from the top. */
  at(offset: number): number;
};

export type Span = { first: number; last: number };

/** The rows from `first` to before `last`, with `spare` more on both sides. */
export function inSight(heights: Heights, scroll: number, view: number, spare: number): Span {
  if (heights.count === 0) return { first: 0, last: 0 };
  const first = heights.at(Math.max(0, scroll));
  const last = heights.at(Math.max(0, scroll + view)) + 1;
  return { first: Math.max(0, first - spare), last: Math.min(heights.count, last + spare) };
}

/** Where to scroll so that a row is in sight, or null when it is. `margin` is covered at the top, by a head of the table. */
export function reveal(
  heights: Heights,
  index: number,
  scroll: number,
  view: number,
  margin = 0,
): number | null {
  const top = heights.offset(index);
  const bottom = heights.offset(index + 1);
  if (top < scroll + margin) return Math.max(0, top - margin);
  if (bottom > scroll + view) return bottom - view;
  return null;
}

/** A row that is in sight: this one, if a part of it is, or else the first that is not cut. */
export function near(heights: Heights, index: number, scroll: number, view: number, margin = 0): number {
  const top = Math.max(0, scroll + margin);
  if (index >= 0 && heights.offset(index + 1) > top && heights.offset(index) < scroll + view) return index;
  const first = heights.at(top);
  // Places of a browser may be fractions of a pixel.
  return top - heights.offset(first) < 1 ? first : Math.min(heights.count - 1, first + 1);
}

/** All rows are as high as each other. */
export function fixed(count: number, height: number): Heights {
  return {
    count,
    total: count * height,
    offset: (index) => Math.min(count, index) * height,
    at: (offset) => Math.min(Math.max(0, count - 1), Math.floor(offset / height)),
  };
}

/** Rows of heights that are known once they were seen; a Fenwick tree, so that both questions take O(log n). */
export class Measured implements Heights {
  private sums: Float64Array;
  private own: Float32Array;
  count = 0;

  constructor(
    private readonly estimate: number,
    count: number,
  ) {
    this.sums = new Float64Array(64);
    this.own = new Float32Array(64);
    this.resize(count);
  }

  get total(): number {
    return this.offset(this.count);
  }

  /** More or fewer rows at the end; new ones have the estimate. */
  resize(count: number): void {
    if (count < this.count) {
      const kept = this.own.slice(0, count);
      this.rebuild(kept, count);
    } else if (count > this.count) {
      if (count + 1 > this.own.length) this.grow(count);
      for (let i = this.count; i < count; i++) this.append(i);
    }
  }

  /** Rows went away at the front, or came there: `by` is how many more there are. */
  shift(by: number): void {
    const next = new Float32Array(Math.max(0, this.count + by)).fill(this.estimate);
    for (let i = 0; i < this.count; i++) if (i + by >= 0) next[i + by] = this.own[i];
    this.rebuild(next, next.length);
  }

  /** The height that row `index` has; says whether it is a new one. */
  set(index: number, height: number): boolean {
    if (index < 0 || index >= this.count) return false;
    const more = height - this.own[index];
    if (Math.abs(more) < 0.5) return false;
    this.own[index] = height;
    for (let i = index + 1; i <= this.count; i += i & -i) this.sums[i] += more;
    return true;
  }

  offset(index: number): number {
    let sum = 0;
    for (let i = Math.min(index, this.count); i > 0; i -= i & -i) sum += this.sums[i];
    return sum;
  }

  at(offset: number): number {
    let place = 0;
    let rest = offset;
    for (let step = 1 << (31 - Math.clz32(this.count || 1)); step > 0; step >>= 1) {
      const next = place + step;
      if (next <= this.count && this.sums[next] <= rest) {
        place = next;
        rest -= this.sums[next];
      }
    }
    return Math.min(place, Math.max(0, this.count - 1));
  }

  private append(index: number): void {
    this.own[index] = this.estimate;
    this.count = index + 1;
    const place = index + 1;
    let sum = this.estimate;
    for (let i = place - 1; i > place - (place & -place); i -= i & -i) sum += this.sums[i];
    this.sums[place] = sum;
  }

  private grow(count: number): void {
    const size = Math.max(count + 1, this.own.length * 2);
    const own = new Float32Array(size);
    const sums = new Float64Array(size);
    own.set(this.own);
    sums.set(this.sums);
    this.own = own;
    this.sums = sums;
  }

  private rebuild(heights: Float32Array, count: number): void {
    this.count = 0;
    this.own = new Float32Array(Math.max(64, count + 1));
    this.sums = new Float64Array(Math.max(64, count + 1));
    for (let i = 0; i < count; i++) {
      this.append(i);
      this.set(i, heights[i]);
    }
  }
}
