// Keys that follow each other: `g o`, `?`, `/`, `j`.

export type Shortcut = {
  /** Keys with spaces between, as `g o`; names as in KeyboardEvent.key. */
  keys: string;
  label: string;
  group: string;
  run: () => void;
};

/** Milliseconds in which the next key of a sequence must come. */
export const PATIENCE = 1200;

/** Knows which shortcut the keys up to now mean. */
export class Sequence {
  private given: string[] = [];
  private at = 0;

  /** The shortcut that this key completes; `waiting` when it may be the beginning of one. */
  press(key: string, now: number, shortcuts: Iterable<Shortcut>): Shortcut | 'waiting' | null {
    if (now - this.at > PATIENCE) this.given = [];
    this.at = now;
    const keys = [...this.given, key];
    const all = [...shortcuts];
    const text = keys.join(' ');
    this.given = [];
    // The last one registered wins: a page's over the shell's.
    const hit = all.findLast((one) => one.keys === text);
    if (hit) return hit;
    // A sequence that leads nowhere does nothing: its last key alone may be one that stops something.
    if (!all.some((one) => one.keys.startsWith(`${text} `))) return null;
    this.given = keys;
    return 'waiting';
  }
}
