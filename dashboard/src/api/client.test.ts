import { getEventListeners } from 'node:events';
import { afterEach, expect, test, vi } from 'vitest';
import { ApiError, Unreachable, address, get, post, request, useCredentials } from './client';

afterEach(() => vi.unstubAllGlobals());

function answer(status: number, body: unknown, headers: Record<string, string> = {}): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  vi.stubGlobal(
    'fetch',
    vi.fn(async () => new Response(text, { status, headers })),
  );
}

test('places and queries are escaped; what is not given is left out', () => {
  expect(
    address(
      '/api/instances/{service}/{id}',
      { service: 'a', id: 'b/..?' },
      { wait: false, x: null, q: 'a b' },
    ),
  ).toBe('/api/instances/a/b%2F..%3F?wait=false&q=a+b');
});

test('the token is in the header, and only there', async () => {
  useCredentials({ token: () => 'secret', refused: () => {} });
  answer(200, { instances: [] });
  await get('/api/instances');
  const [url, init] = vi.mocked(fetch).mock.calls[0];
  expect(url).toBe('/api/instances');
  expect(new Headers(init?.headers).get('Authorization')).toBe('Bearer secret');
  expect(init?.credentials).toBe('omit');
});

test("an error is the API's own message", async () => {
  answer(404, { error: 'instance_not_found', message: "Instance 'a:b' not found", status: 404 });
  const error = await get('/api/instances').catch((failure: unknown) => failure);
  expect(error).toBeInstanceOf(ApiError);
  expect(error).toMatchObject({
    status: 404,
    code: 'instance_not_found',
    message: "Instance 'a:b' not found",
  });
});

test('an answer of something in between is an error that can be read, too', async () => {
  answer(502, '<html>bad gateway</html>', { 'Retry-After': '3' });
  const error = await get('/api/instances').catch((failure: unknown) => failure);
  expect(error).toMatchObject({ status: 502, code: 'http', retryAfter: 3 });
});

test('a refused token ends the session, one that is not valid any more does not', async () => {
  const refused = vi.fn();
  let token = 'old';
  useCredentials({ token: () => token, refused });
  answer(401, { error: 'unauthorized', message: 'revoked', status: 401 });
  await get('/api/instances').catch(() => {});
  expect(refused).toHaveBeenCalledWith('revoked');

  const late = get('/api/instances').catch(() => {});
  token = 'new';
  await late;
  expect(refused).toHaveBeenCalledTimes(1);
});

test('no answer at all says that the daemon may be down', async () => {
  vi.stubGlobal('fetch', vi.fn().mockRejectedValue(new TypeError('Failed to fetch')));
  await expect(get('/api/instances')).rejects.toBeInstanceOf(Unreachable);
});

test('bodies are JSON, or the text as it is', async () => {
  answer(200, {});
  await post('/api/instances', { body: { service: 'a', id: 'b' } });
  expect(vi.mocked(fetch).mock.calls[0][1]?.body).toBe('{"service":"a","id":"b"}');
  await request('post', '/api/config/validate', { body: '[service.a]' });
  const init = vi.mocked(fetch).mock.calls[1][1];
  expect(init?.body).toBe('[service.a]');
  expect(new Headers(init?.headers).get('Content-Type')).toBe('application/toml');
});

test('who is not answered in time is told so; a stream that began may take as long as it likes', async () => {
  vi.useFakeTimers();
  const signals: AbortSignal[] = [];
  const silent = (_: string, { signal }: { signal: AbortSignal }): Promise<Response> =>
    new Promise((_, reject) => {
      signals.push(signal);
      signal.addEventListener('abort', () => reject(new DOMException('gone', 'AbortError')));
    });
  vi.stubGlobal('fetch', silent);
  const asked = get('/api/instances').catch((failure: unknown) => failure);
  await vi.advanceTimersByTimeAsync(15_000);
  const failure = await asked;
  expect(failure).toBeInstanceOf(Unreachable);
  expect(String(failure)).toMatch(/did not answer within 15 s.*close some/);

  const leaving = new AbortController();
  const left = get('/api/instances', { signal: leaving.signal }).catch((failure: unknown) => failure);
  leaving.abort();
  expect(await left).toMatchObject({ name: 'AbortError' });

  answer(200, {});
  await get('/api/instances');
  const { signal } = vi.mocked(fetch).mock.calls[0][1] as { signal: AbortSignal };
  await vi.advanceTimersByTimeAsync(600_000);
  expect(signal.aborted).toBe(false);
  vi.useRealTimers();
});

test('whoever asks with one signal all day leaves nothing at it, and can give up until the body is read', async () => {
  const { signal } = new AbortController();
  const left = (): number => getEventListeners(signal, 'abort').length;
  let during = 0;
  const response = new Response('{}');
  response.json = async () => void (during = left());
  vi.stubGlobal('fetch', vi.fn().mockResolvedValueOnce(response).mockRejectedValue(new TypeError()));
  await get('/api/instances', { signal });
  expect([during, left()]).toEqual([1, 0]);
  await get('/api/instances', { signal }).catch(() => {});
  expect(left()).toBe(0);
});
