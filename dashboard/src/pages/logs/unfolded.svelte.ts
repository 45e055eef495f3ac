// What somebody did to lines: unfolded them, had them shown whole, chose some.
import { SvelteSet } from 'svelte/reactivity';

export class Choice {
  readonly open = new SvelteSet<number>();
  readonly whole = new SvelteSet<number>();
  current = $state<number | null>(null);
  /** Where a selection of several began. */
  anchor = $state<number | null>(null);

  reset(): void {
    this.open.clear();
    this.whole.clear();
    this.current = null;
    this.anchor = null;
  }

  toggle(set: SvelteSet<number>, ord: number): void {
    if (!set.delete(ord)) set.add(ord);
  }

  choose(ord: number, extend: boolean): void {
    if (extend) this.anchor ??= this.current ?? ord;
    else this.anchor = null;
    this.current = ord;
  }

  /** The chosen lines, the first and the last. */
  get span(): [number, number] | null {
    if (this.current === null) return null;
    const other = this.anchor ?? this.current;
    return [Math.min(other, this.current), Math.max(other, this.current)];
  }
}
