// The table of instances as data: which rows, in which order. Rows are never changed, only replaced, so that one can be
// found again by the order it had.
//
//   changes ──> Index.apply ──few──> taken out and put in by binary search
//                           └─many─> the others are kept in order, the changed ones sorted and merged in
import type { Health, Row, Status } from '../api/types';
import { flag, list, oneOf, text, type StateOf } from './urlstate';

export const STATUSES: readonly Status[] = [
  'running',
  'starting',
  'restarting',
  'stopping',
  'sleeping',
  'stopped',
  'failed',
];
export const HEALTHS: readonly Health[] = ['healthy', 'degraded', 'unhealthy', 'unknown'];
export const SORTS = [
  'name',
  'status',
  'health',
  'memory',
  'cpu',
  'requests',
  'errors',
  'uptime',
  'restarts',
  'wake',
] as const;
export type Sort = (typeof SORTS)[number];

/** What the address of the overview says. */
export const VIEW = {
  q: text(),
  sort: oneOf(SORTS, 'name'),
  down: flag(),
  service: list(),
  status: list(STATUSES),
  health: list(HEALTHS),
};
export type View = StateOf<typeof VIEW>;

/** What is sorted by; null is always last. */
const VALUES: Record<Exclude<Sort, 'name'>, (row: Row) => number | null> = {
  // What needs somebody first.
  status: (row) =>
    ['failed', 'starting', 'restarting', 'stopping', 'running', 'sleeping', 'stopped'].indexOf(row.status),
  health: (row) => ['unhealthy', 'degraded', 'healthy', 'unknown'].indexOf(row.health),
  memory: (row) => row.memory_mb,
  cpu: (row) => row.cpu_percent,
  requests: (row) => row.rps,
  errors: (row) => row.errors,
  // The longest is the one that began first.
  uptime: (row) => (row.status === 'running' ? -row.since : null),
  restarts: (row) => row.restarts,
  wake: (row) => row.last_wake,
};

export type Order = (a: Row, b: Row) => number;

const byName: Order = (a, b) => (a.instance < b.instance ? -1 : a.instance > b.instance ? 1 : 0);

/** A total order: rows that are the same by the column are in the order of their names. */
export function orderOf(sort: Sort, down: boolean): Order {
  if (sort === 'name') return down ? (a, b) => byName(b, a) : byName;
  const value = VALUES[sort];
  const sign = down ? -1 : 1;
  return (a, b) => {
    const x = value(a);
    const y = value(b);
    if (x === y) return byName(a, b);
    if (x === null) return 1;
    if (y === null) return -1;
    return x < y ? -sign : sign;
  };
}

export type Filter = (row: Row) => boolean;

/** Rows whose name or reason has all words. */
export function searchFilter(q: string): Filter {
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return () => true;
  return (row) =>
    words.every(
      (word) => row.instance.includes(word) || (row.reason ? row.reason.toLowerCase().includes(word) : false),
    );
}

const oneOfThese = (wanted: readonly string[], value: string): boolean =>
  wanted.length === 0 || wanted.includes(value);

export function filterOf(view: View): Filter {
  const found = searchFilter(view.q);
  return (row) =>
    oneOfThese(view.status, row.status) &&
    oneOfThese(view.health, row.health) &&
    oneOfThese(view.service, row.service) &&
    found(row);
}

export type Facets = Record<'service' | 'status' | 'health', Map<string, number>>;

/** How many rows there would be with each choice of a filter, the other filters and the search as they are. */
export function facetsOf(rows: Iterable<Row>, view: View): Facets {
  const facets: Facets = { service: new Map(), status: new Map(), health: new Map() };
  const found = searchFilter(view.q);
  const add = (counts: Map<string, number>, value: string, n: number): void => {
    counts.set(value, (counts.get(value) ?? 0) + n);
  };
  for (const row of rows) {
    const search = found(row);
    const service = oneOfThese(view.service, row.service);
    const status = oneOfThese(view.status, row.status);
    const health = oneOfThese(view.health, row.health);
    add(facets.service, row.service, search && status && health ? 1 : 0);
    add(facets.status, row.status, search && service && health ? 1 : 0);
    add(facets.health, row.health, search && service && status ? 1 : 0);
  }
  return facets;
}

/** More changes than this at once are merged, not put in one by one. */
const FEW = 64;

/** The rows that a view shows, in its order, kept up by changes. */
export class Index {
  sorted: Row[] = [];
  private order: Order = byName;
  private filter: Filter = () => true;

  /** Another view, over all rows there are. */
  reset(view: View, rows: Iterable<Row>): void {
    this.order = orderOf(view.sort, view.down);
    this.filter = filterOf(view);
    this.sorted = [...rows].filter(this.filter).sort(this.order);
  }

  /** Rows that became others: `before` is as it was here (none: new), `after` as it is (none: gone). Each instance at most once. */
  apply(changes: { before: Row | undefined; after: Row | undefined }[]): void {
    if (changes.length > FEW) return this.merge(changes);
    for (const { before, after } of changes) {
      if (before !== undefined && this.filter(before)) this.remove(before);
      if (after !== undefined && this.filter(after)) this.sorted.splice(this.place(after), 0, after);
    }
  }

  private remove(row: Row): void {
    const at = this.place(row);
    if (this.sorted[at] === row) this.sorted.splice(at, 1);
  }

  /** Where a row is, or would be. */
  private place(row: Row): number {
    let low = 0;
    let high = this.sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.order(this.sorted[middle], row) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private merge(changes: { before: Row | undefined; after: Row | undefined }[]): void {
    const old = new Set(changes.map((change) => change.before));
    const added = changes.flatMap(({ after }) => (after !== undefined && this.filter(after) ? [after] : []));
    added.sort(this.order);
    const merged: Row[] = [];
    let next = 0;
    for (const row of this.sorted) {
      if (old.has(row)) continue;
      while (next < added.length && this.order(added[next], row) < 0) merged.push(added[next++]);
      merged.push(row);
    }
    while (next < added.length) merged.push(added[next++]);
    this.sorted = merged;
  }
}
