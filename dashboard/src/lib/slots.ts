// Which element shows which row of a virtual list. A row that comes into sight takes the element of one that leaves it: to
// build rows and throw them away as fast as somebody scrolls costs frames, and long collections of what was thrown away.
//
//   in sight before  a0 b1 c2 d3        the number is the slot, an element
//   in sight now        b1 c2 d3 e0     e came, a left
export class Slots<K> {
  private taken = new Map<K, number>();
  private order: readonly number[] = [];
  private next = 0;

  /** The slot that is shown at a place among those in sight. */
  at(place: number): number | null {
    return this.order[place] ?? null;
  }

  /**
   * The slot of each key, in their order. A key that stays in sight keeps its slot. `locked` goes to no other key: its element
   * has the focus, which is not to pass on to another row.
   */
  assign(keys: readonly K[], locked: number | null = null): readonly number[] {
    const left = new Map(this.taken);
    for (const key of keys) left.delete(key);
    const free = [...left.values()].filter((slot) => slot !== locked);
    const now = new Map<K, number>();
    for (const key of keys) now.set(key, this.taken.get(key) ?? free.pop() ?? this.next++);
    this.taken = now;
    this.order = [...now.values()];
    return this.order;
  }
}
