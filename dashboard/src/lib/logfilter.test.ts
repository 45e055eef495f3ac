import { expect, test } from 'vitest';
import { SPEC, identity, isOpen, params, parsePlace, search, searchBody } from './logfilter';
import { readState, writeState } from './urlstate';

const of = (query: string) => readState(new URLSearchParams(query), SPEC);

test('the address says what is asked for', () => {
  expect(params(of(''))).toEqual({});
  expect(params(of('q=a b&level=warn,error&service=api&last=1h'))).toEqual({
    service: 'api',
    level: 'warn,error',
    query: 'a b',
    since: '1h',
  });
  expect(params(of('q=a.*b&re=1&instance=api:a,api:b&service=api&from=0&to=1000'))).toEqual({
    instance: 'api:a,api:b',
    grep: 'a.*b',
    since: '1970-01-01T00:00:00.000Z',
    until: '1970-01-01T00:00:00.999Z',
  });
  expect(params(of('level=debug,info,warn,error&q=%20'))).toEqual({});
});

test('conditions with commas come back as they were', () => {
  const state = { ...of(''), field: ['path~a,b', 'x="%"'] };
  expect(readState(writeState(state, SPEC), SPEC).field).toEqual(state.field);
  expect(search(params(state), { limit: '1' })).toBe('field=path%7Ea%2Cb&field=x%3D%22%25%22&limit=1');
});

test('words are searched, expressions are not', () => {
  expect(searchBody(params(of('q=x&field=a%253D1')), 100, 'c')).toEqual({
    query: 'x',
    fields: ['a=1'],
    limit: 100,
    count: false,
    cursor: 'c',
  });
  expect(searchBody(params(of('q=x&re=1')), 100)).toBe(null);
  expect(searchBody(params(of('')), 100)).toBe(null);
});

test('a line of a link changes nothing of what is searched', () => {
  expect(identity(of('q=x&line=api:a:1'))).toBe(identity(of('q=x')));
  expect(isOpen(of('to=5'))).toBe(false);
  expect(isOpen(of('last=1h'))).toBe(true);
});

test('places', () => {
  expect(parsePlace('api:a.b-c:12')).toEqual({ instance: 'api:a.b-c', seq: 12, at: null });
  expect(parsePlace('api:a:12@1764172272123')).toEqual({ instance: 'api:a', seq: 12, at: 1764172272123 });
  for (const wrong of [
    '',
    'api:a',
    'api:a:-1',
    'api:a:1&x=2',
    'api:a:1@',
    'api:a:1@x',
    '<b>:a:1',
    'api:a:99999999999999999',
  ])
    expect(parsePlace(wrong)).toBe(null);
});
