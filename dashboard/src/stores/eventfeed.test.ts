import { expect, test, vi } from 'vitest';
import { EventFeed } from './eventfeed.svelte';

vi.useFakeTimers();

test('new events are not looked for before the daemon said', async () => {
  let asked = 0;
  const headers = { 'Retry-After': '60' };
  vi.stubGlobal('fetch', async () => {
    asked += 1;
    return asked === 1
      ? new Response('{"events":[],"pagination":{"has_more":false}}')
      : new Response('{}', { status: 429, headers });
  });
  const feed = new EventFeed(10, false);
  feed.open({});
  await vi.advanceTimersByTimeAsync(100);
  for (let n = 0; n < 3; n++) {
    void feed.look();
    await vi.advanceTimersByTimeAsync(30_000);
  }
  expect(asked).toBe(2);
  void feed.look();
  expect(asked).toBe(3);
  feed.close();
});
