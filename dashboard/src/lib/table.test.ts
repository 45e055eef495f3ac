import { describe, expect, test } from 'vitest';
import type { Row } from '../api/types';
import { Rows, SAMPLES } from './rows';
import { Index, SORTS, STATUSES, VIEW, facetsOf, filterOf, orderOf, type View } from './table';
import { readState } from './urlstate';

const view = (query = ''): View => readState(new URLSearchParams(query), VIEW);

function row(id: string, more: Partial<Row> = {}): Row {
  return {
    instance: `api:${id}`,
    service: 'api',
    id,
    status: 'running',
    health: 'healthy',
    since: 0,
    memory_mb: 1,
    cpu_percent: 1,
    requests: 0,
    errors: 0,
    rps: 0,
    eps: 0,
    restarts: 0,
    last_wake: null,
    wake_ms: null,
    ...more,
  };
}

const ids = (rows: Row[]): string => rows.map((one) => one.id).join('');

/** The same numbers each time. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe('order', () => {
  const rows = [
    row('a', { memory_mb: 5, since: 100 }),
    row('b', { memory_mb: null, status: 'failed', since: 50 }),
    row('c', { memory_mb: 9, since: 20 }),
    row('d', { memory_mb: 5, since: 200 }),
  ];

  test('what has no figure is last both ways, and the same is by name', () => {
    expect(ids([...rows].sort(orderOf('memory', false)))).toBe('adcb');
    expect(ids([...rows].sort(orderOf('memory', true)))).toBe('cadb');
  });

  test('the longest uptime is of what began first, and only what runs has one', () => {
    expect(ids([...rows].sort(orderOf('uptime', true)))).toBe('cadb');
    expect(ids([...rows].sort(orderOf('status', false)))[0]).toBe('b');
  });
});

test('filters are ANDed, the choices of one are ORed', () => {
  const rows = [
    row('a'),
    row('b', { status: 'failed', reason: 'Exited with code 3' }),
    row('c', { service: 'web' }),
  ];
  const shown = (query: string): string => ids(rows.filter(filterOf(view(query))));
  expect(shown('')).toBe('abc');
  expect(shown('status=failed')).toBe('b');
  expect(shown('status=failed,running&service=api')).toBe('ab');
  expect(shown('q=CODE+3')).toBe('b');
  expect(shown('q=api%3Aa')).toBe('a');
  expect(shown('q=nothing')).toBe('');
});

test('counts of a filter leave out only that filter', () => {
  const rows = [row('a'), row('b', { status: 'failed' }), row('c', { service: 'web' })];
  const facets = facetsOf(rows, view('status=failed'));
  expect(facets.status.get('running')).toBe(2);
  expect(facets.service.get('api')).toBe(1);
  expect(facets.service.get('web')).toBe(0);
});

test('an index that follows changes is the one that is made anew', () => {
  for (const sort of SORTS) {
    for (const [changes, rounds] of [
      [7, 60],
      [300, 6],
    ]) {
      const next = numbers(changes);
      const all = new Map<string, Row>();
      const index = new Index();
      const shown = view(`sort=${sort}&down=1&status=running,sleeping`);
      const make = (id: string): Row =>
        row(id, {
          status: STATUSES[next(STATUSES.length)],
          memory_mb: next(4) === 0 ? null : next(20),
          rps: next(5),
          errors: next(3),
          since: next(50),
        });
      for (let i = 0; i < 500; i++) all.set(`api:${i}`, make(String(i)));
      index.reset(shown, all.values());
      for (let round = 0; round < rounds; round++) {
        const touched = new Map<string, { before: Row | undefined; after: Row | undefined }>();
        for (let i = 0; i < changes; i++) {
          const id = String(next(600));
          const name = `api:${id}`;
          if (touched.has(name)) continue;
          const after = next(5) === 0 ? undefined : make(id);
          touched.set(name, { before: all.get(name), after });
          if (after === undefined) all.delete(name);
          else all.set(name, after);
        }
        index.apply([...touched.values()]);
      }
      const anew = new Index();
      anew.reset(shown, all.values());
      expect(index.sorted).toEqual(anew.sorted);
    }
  }
});

describe('rows of the stream', () => {
  const snapshot = (rows: Row[], more = false) => ({
    type: 'snapshot' as const,
    at: 0,
    more,
    instances: rows,
  });

  test('what a later snapshot does not name is gone', () => {
    const rows = new Rows();
    rows.view(view());
    rows.begin();
    expect(rows.take(snapshot([row('a'), row('b')], true))).toBe(false);
    expect(rows.take(snapshot([row('c')]))).toBe(true);
    rows.settle();
    expect(ids(rows.index.sorted)).toBe('abc');
    rows.begin();
    rows.take(snapshot([row('c'), row('d')]));
    rows.settle();
    expect(ids(rows.index.sorted)).toBe('cd');
  });

  test('a row that changes twice before a frame is there once', () => {
    const rows = new Rows();
    rows.view(view('sort=memory'));
    rows.begin();
    rows.take(snapshot([row('a', { memory_mb: 1 }), row('b', { memory_mb: 2 })]));
    rows.settle();
    rows.take({ type: 'changes', at: 0, instances: [row('a', { memory_mb: 3 })], gone: [] });
    rows.take({ type: 'changes', at: 0, instances: [row('a', { memory_mb: 4 })], gone: ['api:b'] });
    expect(rows.settle()).toBe(true);
    expect(ids(rows.index.sorted)).toBe('a');
    expect(rows.get('api:a')?.memory_mb).toBe(4);
    expect(rows.settle()).toBe(false);
  });

  test('a sparkline goes on with the rate', () => {
    const rows = new Rows();
    rows.view(view());
    rows.begin();
    rows.take(snapshot([row('a', { rps: 7, spark: [1, 2] })]));
    const spark = rows.spark('api:a');
    expect([spark.length, spark[SAMPLES - 2], spark[SAMPLES - 1]]).toEqual([SAMPLES, 1, 2]);
    rows.sample();
    expect([spark[SAMPLES - 3], spark[SAMPLES - 2], spark[SAMPLES - 1]]).toEqual([1, 2, 7]);
  });
});
