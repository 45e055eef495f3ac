// How lines are shown; kept in this browser, because it is no part of what a link shows.
const KEY = 'tenement.logs';

class Prefs {
  wrap = $state(true);
  utc = $state(false);

  constructor() {
    try {
      const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? '{}');
      if (typeof kept !== 'object' || kept === null) return;
      if ('wrap' in kept) this.wrap = kept.wrap !== false;
      if ('utc' in kept) this.utc = kept.utc === true;
    } catch {
      // Then it is as it is at first.
    }
  }

  set(changed: { wrap?: boolean; utc?: boolean }): void {
    Object.assign(this, changed);
    try {
      localStorage.setItem(KEY, JSON.stringify({ wrap: this.wrap, utc: this.utc }));
    } catch {
      // A browser that keeps nothing still shows it.
    }
  }
}

export const prefs = new Prefs();
