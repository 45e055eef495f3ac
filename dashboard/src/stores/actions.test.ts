import { beforeEach, expect, test, vi } from 'vitest';

vi.useFakeTimers();
const listens = { addEventListener: () => {}, removeEventListener: () => {} };
vi.stubGlobal('window', listens);
// What nobody looks at is taken in without waiting for a frame.
vi.stubGlobal('document', { ...listens, visibilityState: 'visible', hidden: true });
const { actions } = await import('./actions.svelte');
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
