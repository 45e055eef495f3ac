// The daemon's API, typed by its own description.
//
//   get('/api/instances/{service}/{id}', { path, query })
//        │ fills in the path, adds the token
//        ▼
//      fetch ──> 2xx: the JSON    401: the session ends, ApiError    else: ApiError with the API's own message
//        └─ no answer at all, or none in time: Unreachable
import type { components, paths } from './schema';

/** The types of the description, by name: `Schemas['LogLine']`. */
export type Schemas = components['schemas'];
export type Method = 'get' | 'post' | 'put' | 'delete';
export type QueryValue = string | number | boolean | null | undefined;
export type Query = Record<string, QueryValue>;

type Operation<P extends keyof paths, M extends Method> = NonNullable<paths[P][M & keyof paths[P]]>;
/** The paths of the description that have this method. */
export type PathsWith<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<M, object> ? P : never;
}[keyof paths];
type Responses<O> = O extends { responses: infer R } ? R : never;
type Json<R> = R extends { content: { 'application/json': infer T } } ? T : never;
type Good<O> = {
  [S in keyof Responses<O>]: S extends 200 | 201 | 202 ? Json<Responses<O>[S]> : never;
}[keyof Responses<O>];
/** What a path answers when all is well. */
export type Answer<P extends keyof paths, M extends Method> = Good<Operation<P, M>>;
type PathOf<O> = O extends { parameters: { path: infer T extends object } }
  ? { path: T }
  : { path?: undefined };
type QueryOf<O> = O extends { parameters: { query?: infer T } } ? { query?: T } : { query?: undefined };
type BodyOf<O> = O extends { requestBody?: { content: { 'application/json': infer B } } }
  ? { body?: B }
  : { body?: unknown };

export type Extras = { signal?: AbortSignal; headers?: Record<string, string> };
export type Options<P extends keyof paths, M extends Method> = Extras &
  PathOf<Operation<P, M>> &
  QueryOf<Operation<P, M>> &
  BodyOf<Operation<P, M>>;
type Args<P extends keyof paths, M extends Method> =
  Partial<Record<never, never>> extends Options<P, M> ? [options?: Options<P, M>] : [options: Options<P, M>];

/** The API refused; `message` is what it says, for people. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    /** The envelope's `error`, as `instance_not_found`. */
    readonly code: string,
    message: string,
    /** The whole answer: some errors have more than the envelope. */
    readonly body: Record<string, unknown>,
    /** Seconds, from `Retry-After`. */
    readonly retryAfter: number | null,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

/** There was no answer: the daemon is down, restarts, or the network is gone. */
export class Unreachable extends Error {
  constructor(
    readonly why: string,
    message = 'The daemon does not answer. It may be restarting; is `ten serve` running?',
  ) {
    super(message);
    this.name = 'Unreachable';
  }
}

type Credentials = { token: () => string | null; refused: (message: string) => void };
let credentials: Credentials = { token: () => null, refused: () => {} };

/** Says where the token is, and who wants to know that it is not valid any more. */
export function useCredentials(given: Credentials): void {
  credentials = given;
}

/** The token that requests are sent with. */
export function bearer(): string | null {
  return credentials.token();
}

/** `/api/x/{id}` with its places filled in and the query behind it; what is null or undefined is left out. */
export function address(
  path: string,
  places: Record<string, string | number> = {},
  query: Query = {},
): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(places[name])));
  const pairs = Object.entries(query).filter(
    ([, value]) => value !== null && value !== undefined && value !== '',
  );
  if (pairs.length === 0) return filled;
  return `${filled}?${new URLSearchParams(pairs.map(([name, value]) => [name, String(value)]))}`;
}

/** Seconds until an answer has to begin: the daemon gives up a search of logs after 10. */
const PATIENCE = 15;
/** A start or a stop is answered when it is done, for which a service may be given much time. */
const PATIENCE_DEED = 120;

/** `read` is aborted when the body is read: whoever asks with one signal all day leaves nothing at it. */
type Sent = RequestInit & { anonymous?: boolean; read?: AbortSignal };

/** A request with the token; resolves with the response when it is a success. */
export async function send(url: string, init: Sent = {}): Promise<Response> {
  const { anonymous = false, ...rest } = init;
  const headers = new Headers(init.headers);
  const token = anonymous ? null : credentials.token();
  if (token !== null) headers.set('Authorization', `Bearer ${token}`);
  const deed = (init.method ?? 'GET') !== 'GET' && !anonymous && !url.startsWith('/api/logs');
  const response = await answered(url, { ...rest, headers }, deed ? PATIENCE_DEED : PATIENCE);
  if (response.ok) return response;
  const refusal = await refusalOf(response);
  // Only if the token is still the one that was refused: the answer may be late.
  if (response.status === 401 && token !== null && token === credentials.token())
    credentials.refused(refusal.message);
  throw refusal;
}

/** The response as soon as its headers are there; what comes after them may take as long as it likes. */
async function answered(url: string, { read, ...init }: Sent, seconds: number): Promise<Response> {
  const { signal } = init;
  const control = new AbortController();
  const giveUp = (): void => control.abort();
  if (signal?.aborted) giveUp();
  signal?.addEventListener('abort', giveUp, { signal: read });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    giveUp();
  }, seconds * 1000);
  try {
    return await fetch(url, {
      ...init,
      signal: control.signal,
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'error',
    });
  } catch (error) {
    if (late)
      throw new Unreachable(
        'late',
        `The daemon did not answer within ${seconds} s. If other tabs of this dashboard are open, close some: the browser gives all of them together only a few connections.`,
      );
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new Unreachable(String(error));
  } finally {
    clearTimeout(timer);
  }
}

async function refusalOf(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => '');
  let body: Record<string, unknown> = {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null) body = parsed as Record<string, unknown>;
  } catch {
    // Not the daemon's own answer, but one of something between it and us.
  }
  const message =
    typeof body.message === 'string' ? body.message : `${response.status} ${response.statusText}`.trim();
  const code = typeof body.error === 'string' ? body.error : 'http';
  const after = Number(response.headers.get('Retry-After') ?? '');
  return new ApiError(response.status, code, message, body, after > 0 ? after : null);
}

type Loose = Extras & { path?: object; query?: object; body?: unknown; anonymous?: boolean };

/** A request whose answer's type the caller names; for what the description has, the typed ones below are better. */
export async function request<T>(method: Method, path: string, options: Loose = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json', ...options.headers };
  const read = new AbortController();
  const init: Sent = { method: method.toUpperCase(), headers, read: read.signal };
  if (options.body !== undefined) {
    // A text is sent as it is: TOML for the validator.
    const text = typeof options.body === 'string';
    headers['Content-Type'] ??= text ? 'application/toml' : 'application/json';
    init.body = text ? (options.body as string) : JSON.stringify(options.body);
  }
  if (options.signal) init.signal = options.signal;
  if (options.anonymous) init.anonymous = true;
  const url = address(path, options.path as Record<string, string>, options.query as Query);
  try {
    const response = await send(url, init);
    return response.status === 204 ? (undefined as T) : ((await response.json()) as T);
  } finally {
    read.abort();
  }
}

export function get<P extends PathsWith<'get'>>(path: P, ...args: Args<P, 'get'>): Promise<Answer<P, 'get'>> {
  return request('get', path, args[0] as Loose);
}

export function post<P extends PathsWith<'post'>>(
  path: P,
  ...args: Args<P, 'post'>
): Promise<Answer<P, 'post'>> {
  return request('post', path, args[0] as Loose);
}

export function del<P extends PathsWith<'delete'>>(
  path: P,
  ...args: Args<P, 'delete'>
): Promise<Answer<P, 'delete'>> {
  return request('delete', path, args[0] as Loose);
}

/** What went wrong, in words for people. */
export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
