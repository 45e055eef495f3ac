import { beforeEach, expect, test, vi } from 'vitest';
import type { Action } from './actions.svelte';

vi.useFakeTimers();
const listens = { addEventListener: () => {}, removeEventListener: () => {} };
vi.stubGlobal('window', listens);
// What nobody looks at is taken in without waiting for a frame.
vi.stubGlobal('document', { ...listens, visibilityState: 'visible', hidden: true });
const { actions } = await import('./actions.svelte');
const { confirm } = await import('./confirm.svelte');
const { toasts } = await import('./toasts.svelte');
const { overview } = await import('./overview.svelte');

const web = { service: 'web', id: 'a', instance: 'web:a' };
let status = 'starting';
let asked = 0;
let stream!: ReadableStreamDefaultController<Uint8Array>;
const say = (message: object): void =>
  stream.enqueue(new TextEncoder().encode(`${JSON.stringify({ at: Date.now(), ...message })}\n`));

beforeEach(() => {
  [status, asked] = ['starting', 0];
  vi.stubGlobal('fetch', async (url: string, { method }: RequestInit) => {
    if (url.startsWith('/api/overview'))
      return new Response(new ReadableStream({ start: (control) => void (stream = control) }));
    if (method === 'GET') asked += 1;
    return new Response(JSON.stringify({ status, reason: 'it is so' }));
  });
});

test('who comes second is told so, and not that it failed', async () => {
  const answers = {
    start: [409, "Instance 'web:a' is already starting"],
    remove: [404, 'web:a is gone already'],
  };
  for (const [action, [status, words]] of Object.entries(answers)) {
    const message = "Instance 'web:a' is already starting";
    vi.stubGlobal(
      'fetch',
      async () => new Response(JSON.stringify({ message, error: 'x' }), { status: Number(status) }),
    );
    toasts.clear();
    const done = actions.run(action as Action, web);
    confirm.settle(true);
    expect(await done).toBe(true);
    expect(toasts.all.map(({ kind, text }) => [kind, text])).toEqual([['info', words]]);
    await vi.advanceTimersByTimeAsync(1000);
  }
});

test('a restart that takes long costs few questions', async () => {
  const done = actions.run('restart', web);
  await vi.advanceTimersByTimeAsync(66_000);
  expect(await done).toBe(false);
  expect(asked).toBeLessThan(20);
});

test('a restart is known to be done when the stream says so, which spoke of the time before it at first', async () => {
  const close = overview.open();
  await vi.advanceTimersByTimeAsync(10);
  say({ type: 'snapshot', more: false, instances: [{ ...web, status: 'running', since: 1 }] });
  await vi.advanceTimersByTimeAsync(10);
  let done: boolean | null = null;
  void actions.run('restart', web).then((so) => (done = so));
  await vi.advanceTimersByTimeAsync(10_000);
  expect(done).toBeNull();
  const before = asked;
  status = 'running';
  say({ type: 'changes', gone: [], instances: [{ ...web, status: 'running', since: 2 }] });
  await vi.advanceTimersByTimeAsync(300);
  expect([done, asked]).toEqual([true, before + 1]);
  close();
});
