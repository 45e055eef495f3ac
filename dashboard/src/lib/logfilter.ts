// What the logs page shows, as it stands in the address, and the API's parameters for it.
import { LEVELS, type Level } from './brush';
import { flag, list, maybe, oneOf, text, type Field, type StateOf } from './urlstate';

/** Conditions may have commas: each is escaped. */
const conditions = (): Field<string[]> => ({
  initial: [],
  read: (given) =>
    given
      .split(',')
      .filter((one) => one !== '')
      .map(decode)
      .slice(0, 16),
  write: (value) => value.map((one) => encodeURIComponent(one)).join(','),
});

function decode(one: string): string {
  try {
    return decodeURIComponent(one);
  } catch {
    return one;
  }
}

export const QUICK = ['5m', '15m', '1h', '6h', '24h', '7d'] as const;

export const SPEC = {
  q: text(),
  re: flag(),
  service: text(),
  instance: list(),
  level: list(LEVELS),
  field: conditions(),
  last: oneOf(['', ...QUICK], ''),
  from: maybe(),
  to: maybe(),
  line: text(),
};

export type LogState = StateOf<typeof SPEC>;
export type Params = Record<string, string | string[]>;

/** The parameters that say which lines; `levels` without for the histogram, which counts all of them. */
export function params(state: LogState, levels = true): Params {
  const given: Params = {};
  if (state.service !== '' && state.instance.length === 0) given.service = state.service;
  if (state.instance.length > 0) given.instance = state.instance.join(',');
  if (levels && state.level.length > 0 && state.level.length < LEVELS.length)
    given.level = state.level.join(',');
  if (state.q.trim() !== '') given[state.re ? 'grep' : 'query'] = state.re ? state.q : state.q.trim();
  if (state.field.length > 0) given.field = state.field;
  if (state.last !== '') given.since = state.last;
  else if (state.from !== null) given.since = new Date(state.from).toISOString();
  // The end of a range is not in it, but `until` is.
  if (state.last === '' && state.to !== null) given.until = new Date(state.to - 1).toISOString();
  return given;
}

/** `a=1&field=x&field=y`. */
export function search(given: Params, more: Record<string, string | undefined> = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...given, ...more })) {
    if (value === undefined) continue;
    for (const one of typeof value === 'string' ? [value] : value) query.append(name, one);
  }
  return query.toString();
}

/** The body of `POST /api/logs/search`, which leaves the counting to the histogram; null where it is no search of words. */
export function searchBody(given: Params, limit: number, cursor?: string): Record<string, unknown> | null {
  const { query, field, grep, ...rest } = given;
  if (typeof query !== 'string' || grep !== undefined) return null;
  return {
    ...rest,
    query,
    limit,
    count: false,
    ...(field ? { fields: field } : {}),
    ...(cursor ? { cursor } : {}),
  };
}

/** What a search is of; two that are the same find the same. */
export function identity(state: LogState): string {
  return search(params(state));
}

/** Whether lines that are written now belong to it. */
export const isOpen = (state: LogState): boolean => state.last !== '' || state.to === null;

/** The levels that are shown; none chosen means all. */
export const levelsOf = (state: LogState): readonly Level[] =>
  state.level.length === 0 ? LEVELS : state.level;

/** `service:id:seq@time` of a link, or without the time, in milliseconds since 1970. */
export function parsePlace(place: string): { instance: string; seq: number; at: number | null } | null {
  const given = /^([a-z0-9_-]{1,63}:[a-z0-9._-]{1,63}):(\d{1,16})(?:@(\d{1,15}))?$/.exec(place);
  return given && { instance: given[1], seq: Number(given[2]), at: given[3] ? Number(given[3]) : null };
}
