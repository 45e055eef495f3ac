// Short messages about what somebody just did.

import { untrack } from 'svelte';

export type Toast = { id: number; kind: 'info' | 'good' | 'bad'; text: string; detail: string | null };
const LASTS = { info: 5000, good: 5000, bad: 12_000 };

class Toasts {
  all = $state.raw<Toast[]>([]);
  private next = 1;
  /** The first of this session. */
  private first = 1;

  /** Shows one; returns its id, by which it can be changed or taken away. One that `stays` waits for that. */
  say(kind: Toast['kind'], text: string, detail: string | null = null, stays = false): number {
    const id = this.next++;
    this.all = [...untrack(() => this.all).slice(-4), { id, kind, text, detail }];
    if (!stays) this.leave(id, LASTS[kind]);
    return id;
  }

  /** The same toast says something else now; where it is gone, what became of it is a new one. */
  change(id: number, kind: Toast['kind'], text: string, detail: string | null = null): void {
    if (!this.all.some((toast) => toast.id === id)) {
      if (kind !== 'info' && id >= this.first) this.say(kind, text, detail);
      return;
    }
    this.all = this.all.map((toast) => (toast.id === id ? { id, kind, text, detail } : toast));
    this.leave(id, LASTS[kind]);
  }

  /** The session ended: neither these nor what becomes of them is for the next one. */
  clear(): void {
    this.first = this.next;
    for (const { id } of this.all) this.drop(id);
  }

  drop(id: number): void {
    clearTimeout(this.timers.get(id));
    this.timers.delete(id);
    this.all = this.all.filter((toast) => toast.id !== id);
  }

  private readonly timers = new Map<number, ReturnType<typeof setTimeout>>();

  private leave(id: number, after: number): void {
    clearTimeout(this.timers.get(id));
    this.timers.set(
      id,
      setTimeout(() => this.drop(id), after),
    );
  }
}

export const toasts = new Toasts();
