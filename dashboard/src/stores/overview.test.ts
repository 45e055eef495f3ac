import { afterEach, expect, test, vi } from 'vitest';
import type { Row } from '../api/types';
import { VIEW } from '../lib/table';
import { readState } from '../lib/urlstate';

vi.useFakeTimers();
const listens = { addEventListener: () => {}, removeEventListener: () => {} };
const storage = { getItem: () => null, setItem: () => {}, removeItem: () => {} };
vi.stubGlobal('window', listens);
// What nobody sees is worked off at once, without frames.
vi.stubGlobal('document', { ...listens, visibilityState: 'visible', hidden: true, title: '' });
vi.stubGlobal('location', { hash: '', protocol: 'http:', hostname: 'localhost' });
vi.stubGlobal('sessionStorage', storage);
vi.stubGlobal('localStorage', storage);
const { overview } = await import('./overview.svelte');

const row = (id: string): Row => ({
  ...{ instance: `web:${id}`, service: 'web', id, status: 'running', health: 'healthy', since: 0 },
  ...{ memory_mb: 1, cpu_percent: 0, requests: 0, errors: 0, rps: 0, eps: 0, restarts: 0 },
  ...{ last_wake: null, wake_ms: null },
});

/** What is asked for from now on, and a way to answer it. */
function daemon(): { asked: string[]; tell: (message: object) => Promise<void>; lose: () => Promise<void> } {
  const asked: string[] = [];
  let body!: ReadableStreamDefaultController<Uint8Array>;
  vi.stubGlobal('fetch', (url: string) => {
    asked.push(url);
    return Promise.resolve(new Response(new ReadableStream({ start: (one) => void (body = one) })));
  });
  const tell = async (message: object): Promise<void> => {
    await vi.advanceTimersByTimeAsync(1);
    body.enqueue(new TextEncoder().encode(`${JSON.stringify({ at: Date.now(), ...message })}\n`));
    await vi.advanceTimersByTimeAsync(1);
  };
  const lose = async (): Promise<void> => {
    body.close();
    await vi.advanceTimersByTimeAsync(1);
  };
  return { asked, tell, lose };
}

const snapshot = (...instances: Row[]): object => ({ type: 'snapshot', more: false, instances });
let close = (): void => {};
afterEach(async () => {
  close();
  await vi.advanceTimersByTimeAsync(1);
});

test('rows are put in order and counted while a table shows them, and only then', async () => {
  const { tell } = daemon();
  close = overview.open();
  await tell(snapshot(row('b'), row('a')));
  expect([overview.total, overview.counts()?.get('web')?.running]).toEqual([2, 2]);
  expect([overview.rows.length, overview.facets.service.size]).toEqual([0, 0]);
  overview.show(readState(new URLSearchParams(), VIEW));
  expect(overview.rows.map((one) => one.id)).toEqual(['a', 'b']);
  expect(overview.facets.service.get('web')).toBe(2);
  overview.show(null);
  await tell({ type: 'changes', instances: [row('c')], gone: ['web:a'] });
  expect(overview.rows.map((one) => one.id)).toEqual(['a', 'b']);
  overview.show(readState(new URLSearchParams(), VIEW));
  expect(overview.rows.map((one) => one.id)).toEqual(['b', 'c']);
  overview.show(null);
});

test('who is about one instance asks for that one, and knows when its row is of now', async () => {
  const { asked, tell, lose } = daemon();
  close = overview.follow('web:b');
  const { one } = overview;
  expect([one?.row, one?.current]).toEqual([null, false]);
  await tell(snapshot(row('b')));
  expect(asked).toEqual(['/api/overview?instance=web%3Ab&follow=true']);
  expect([overview.row('web:b')?.id, one?.current, overview.live]).toEqual(['b', true, one?.live]);
  await tell({ type: 'changes', instances: [{ ...row('b'), requests: 3 }], gone: [] });
  const { heard } = one!;
  await lose();
  // As it was told last, which somebody else may know better by now.
  expect([one?.row?.requests, one?.current, one?.heard]).toEqual([3, false, heard]);
  await vi.advanceTimersByTimeAsync(5000);
  expect(one?.current).toBe(false);
  await tell(snapshot());
  expect([one?.row, one?.current]).toEqual([null, true]);
  close();
  expect(overview.one).toBe(null);
});

test('what can be no name is not asked for', async () => {
  const { asked } = daemon();
  close = overview.follow('web:a/b');
  await vi.advanceTimersByTimeAsync(1);
  expect(asked).toEqual([]);
});
