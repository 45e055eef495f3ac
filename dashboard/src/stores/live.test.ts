import { expect, test, vi } from 'vitest';
import { Live } from './live.svelte';

vi.useFakeTimers();
const listens = { addEventListener: () => {}, removeEventListener: () => {} };
vi.stubGlobal('window', listens);
vi.stubGlobal('document', { ...listens, visibilityState: 'visible' });

test('what is shown is as old as the last sign of life, also where nothing happens', async () => {
  let body!: ReadableStreamDefaultController<Uint8Array>;
  const stream = new ReadableStream<Uint8Array>({ start: (controller) => void (body = controller) });
  vi.stubGlobal(
    'fetch',
    vi.fn().mockResolvedValueOnce(new Response(stream)).mockRejectedValue(new TypeError()),
  );
  const began = Date.now();
  const live = new Live();
  live.open({ path: '/api/events', query: () => ({}), receive: () => {} });
  for (let n = 0; n < 3; n++) {
    await vi.advanceTimersByTimeAsync(8000);
    body.enqueue(new TextEncoder().encode('\n'));
  }
  await vi.advanceTimersByTimeAsync(3000);
  expect(live.state).toBe('live');
  body.close();
  await vi.advanceTimersByTimeAsync(10);
  expect([live.state, live.since]).toEqual(['lost', began + 24_000]);
  live.close();
  expect([live.state, live.since, live.retryAt]).toEqual(['closed', null, null]);
});

test('what is kept while nobody follows is as old as it was, what is asked for anew is of now', async () => {
  const none = { path: '/api/events', query: () => ({}), receive: () => {} } as const;
  const began = Date.now();
  const live = new Live();
  for (const [kept, since] of [
    [false, began],
    [true, began],
    [false, began + 7_200_000],
  ] as const) {
    vi.stubGlobal('fetch', vi.fn().mockRejectedValue(new TypeError()));
    live.open({ ...none, kept });
    await vi.advanceTimersByTimeAsync(10);
    expect([live.state, live.since]).toEqual(['lost', since]);
    live.close();
    await vi.advanceTimersByTimeAsync(3_599_990);
  }
});
