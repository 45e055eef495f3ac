// What the logs page asks the API for: pages of lines, newest first or by a cursor, and the lines around one.
import { request, send, type Schemas } from '../../api/client';
import { parsePlace, search, searchBody, type Params } from '../../lib/logfilter';
import type { LogLine } from '../../lib/linewindow';

export type LogPage = {
  /** In ascending time. */
  lines: LogLine[];
  more: boolean;
  cursor: string | null;
  damaged: number;
  /** The daemon's clock, if it said. */
  at: number | null;
};

export const FIRST = 100;
export const OLDER = 500;

/** A page of what matches: the newest lines, or those before a cursor or before places. */
export async function page(
  given: Params,
  limit: number,
  signal: AbortSignal,
  older: { cursor?: string; before?: string; until?: string } = {},
): Promise<LogPage> {
  const body =
    older.before === undefined && older.until === undefined ? searchBody(given, limit, older.cursor) : null;
  const response =
    body === null
      ? await send(`/api/logs?${search(given, { ...older, count: 'false', limit: String(limit) })}`, {
          signal,
        })
      : await send('/api/logs/search', {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify(body),
          signal,
        });
  const date = Date.parse(response.headers.get('Date') ?? '');
  const answer = (await response.json()) as Partial<Schemas['LogList'] & Schemas['SearchResult']>;
  return {
    lines: answer.logs ?? (answer.results ?? []).reverse(),
    more: answer.pagination?.has_more ?? false,
    cursor: answer.pagination?.next_cursor ?? null,
    damaged: answer.damaged ?? 0,
    at: Number.isNaN(date) ? null : date,
  };
}

type Around = { lines: LogLine[]; cut: boolean; damaged: number };

/** The line of a place with `before` and `after` lines of its instance around it; none where it is gone. */
export async function around(
  place: string,
  before: number,
  after: number,
  signal?: AbortSignal,
): Promise<Around> {
  const wanted = parsePlace(place);
  if (wanted === null)
    throw new Error(`'${place}' is no place of a line: it is written as service:id:number`);
  const query = {
    instance: wanted.instance,
    before: `${wanted.instance}:${wanted.seq + 1}`,
    limit: 1,
    context_before: before,
    context_after: after,
  };
  const answer = await request<Schemas['LogList']>('get', '/api/logs', {
    query,
    ...(signal ? { signal } : {}),
  });
  const there = answer.logs.some(
    (log) => log.seq === wanted.seq && (wanted.at ?? Date.parse(log.timestamp)) === Date.parse(log.timestamp),
  );
  return { lines: there ? answer.logs : [], cut: answer.context_cut ?? false, damaged: answer.damaged ?? 0 };
}
