import { expect, test } from 'vitest';
import { hashOf, instanceHash, parseRoute } from './route';

test('an address is a page, its places and its query', () => {
  const route = parseRoute('#/instances/api/user.123?range=1d&q=a%20b');
  expect(route.page).toBe('instance');
  expect(route.places).toEqual({ service: 'api', id: 'user.123' });
  expect(route.query.get('q')).toBe('a b');
  expect(parseRoute('').page).toBe('overview');
  expect(parseRoute('#/logs/').page).toBe('logs');
});

test('what is no page is unknown, and never an error', () => {
  for (const hash of [
    '#/nothing',
    '#/instances/api',
    '#/instances/%E0%A4%A/x',
    '#//evil.example/',
    '#javascript:alert(1)',
  ]) {
    expect(parseRoute(hash).page).toBe('unknown');
  }
});

test('places are escaped, and queries stay readable', () => {
  expect(instanceHash('a/b', '?#')).toBe('#/instances/a%2Fb/%3F%23');
  expect(parseRoute(instanceHash('a/b', '?#')).places).toEqual({ service: 'a/b', id: '?#' });
  expect(hashOf('/logs', new URLSearchParams({ instance: 'api:a,api:b' }))).toBe(
    '#/logs?instance=api:a,api:b',
  );
  const odd = new URLSearchParams({ q: 'a&b=c #%' });
  expect(parseRoute(hashOf('/logs', odd)).query.get('q')).toBe('a&b=c #%');
});
