// The address after `#`: a page, its places, and the state that one would share.
//
//   #/instances/api/user123?range=1d  ──>  { page: 'instance', places: { service, id }, query: range=1d }

export type PageName =
  'overview' | 'instance' | 'logs' | 'events' | 'services' | 'config' | 'tokens' | 'audit' | 'host';

export type Route = {
  page: PageName | 'link' | 'unknown';
  path: string;
  places: Record<string, string>;
  query: URLSearchParams;
};

const PATTERNS: [string, Route['page']][] = [
  ['/', 'overview'],
  ['/instances/:service/:id', 'instance'],
  ['/logs', 'logs'],
  ['/events', 'events'],
  ['/services', 'services'],
  ['/services/:service', 'services'],
  ['/config', 'config'],
  ['/tokens', 'tokens'],
  ['/audit', 'audit'],
  ['/host', 'host'],
  ['/link/:code', 'link'],
];

/** The route of a hash; one that is no page's is `unknown`, never an error. */
export function parseRoute(hash: string): Route {
  const text = hash.startsWith('#') ? hash.slice(1) : hash;
  const mark = text.indexOf('?');
  const path = (mark < 0 ? text : text.slice(0, mark)).replace(/\/+$/, '') || '/';
  const query = new URLSearchParams(mark < 0 ? '' : text.slice(mark + 1));
  for (const [pattern, page] of PATTERNS) {
    const places = match(pattern, path);
    if (places !== null) return { page, path, places, query };
  }
  return { page: 'unknown', path, places: {}, query };
}

function match(pattern: string, path: string): Record<string, string> | null {
  const wanted = pattern.split('/');
  const given = path.split('/');
  if (wanted.length !== given.length) return null;
  const places: Record<string, string> = {};
  for (const [i, part] of wanted.entries()) {
    if (part.startsWith(':')) {
      const value = decode(given[i]);
      if (value === null || value === '') return null;
      places[part.slice(1)] = value;
    } else if (part !== given[i]) return null;
  }
  return places;
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

/** The hash of a path and a query. */
export function hashOf(path: string, query: URLSearchParams | string = ''): string {
  const text = readable(query.toString());
  return text === '' ? `#${path}` : `#${path}?${text}`;
}

/** What need not be escaped in a fragment, so that a shared link can be read. */
function readable(query: string): string {
  return query.replace(/%(3A|2C|2F|40)/g, (code) => decodeURIComponent(code));
}

/** The hash of an instance's page. */
export function instanceHash(service: string, id: string, query: URLSearchParams | string = ''): string {
  return hashOf(`/instances/${encodeURIComponent(service)}/${encodeURIComponent(id)}`, query);
}
