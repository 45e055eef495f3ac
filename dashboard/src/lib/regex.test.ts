import { expect, test } from 'vitest';
import { Pattern } from './regex';

const found = (pattern: string, text: string): string[] | null =>
  Pattern.of(pattern)
    ?.ranges(text)
    .map(([from, to]) => text.slice(from, to)) ?? null;

test('what the browser finds, too', () => {
  const text = 'GET /v1/orders/42 200 13ms id=ab-12 "two words" aaa foo.bar FooBar';
  for (const pattern of [
    'GET',
    '\\d+',
    '[a-z]+',
    '[^ ]+',
    'o+|a{2}',
    '(?:fo|foo)\\b',
    '\\w+\\.\\w+',
    '^GET',
    'Bar$',
    'a{2,3}?',
    '\\s\\d{3}\\s',
    '"[^"]*"',
    '(a|b)*c?',
    '[\\d-]+',
    'id=(\\w+)',
    '\\bfoo',
    '.',
    'x*',
    '/v1/[a-z]+/\\d+',
    '[]a]',
    'a{0}b',
  ]) {
    const own = found(pattern, text);
    if (pattern === '[]a]') expect(own).toEqual(['a', 'a', 'a', 'a', 'a', 'a']);
    else
      expect(own, pattern).toEqual(
        [...text.matchAll(new RegExp(pattern, 'gu'))].map(([all]) => all).filter((all) => all !== ''),
      );
  }
});

test('what only Rust has', () => {
  expect(found('(?i)get', 'GET get')).toEqual(['GET', 'get']);
  expect(found('(?i)[^a]', 'aAb')).toEqual(['b']);
  expect(found('(?i)[x[^a]]', 'aAbX')).toEqual(['b', 'X']);
  expect(found('a(?i:b)c', 'aBc aBC')).toEqual(['aBc']);
  expect(found('(?x) a \\s b # words', 'a b')).toEqual(['a b']);
  expect(found('(?P<n>\\d+)', 'a1')).toEqual(['1']);
  expect(found('[[:alpha:]_]+', 'ab_1')).toEqual(['ab_']);
  expect(found('\\p{Lu}+', 'abÄÖx')).toEqual(['ÄÖ']);
  expect(found('(?U)a+', 'aaa')).toEqual(['a', 'a', 'a']);
  expect(found('\\x{1F642}', 'a🙂')).toEqual(['🙂']);
});

test('what is not known marks nothing', () => {
  for (const pattern of [
    '(',
    '[a',
    'a**{',
    '[a&&b]',
    '\\1',
    '(?=x)',
    '*a',
    'a{5,2}',
    '\\p{Nope}',
    '(((a{99}){99}){99})',
  ])
    expect(found(pattern, 'abc'), pattern).toBe(null);
});

// faults: G10
test('an expression that takes others hours', () => {
  const began = performance.now();
  expect(found('(a+)+$', `${'a'.repeat(5000)}b`)).toEqual([]);
  expect(found('(a|aa|a?)*b.*c.*d', 'a'.repeat(2000))).toEqual([]);
  expect(found('(x+x+)+y', 'x'.repeat(60_000))).toEqual([]);
  expect(found('(){9999}{9999}{9999}', 'a')).toBe(null);
  expect(found('(|){99}{99}{99}{99}', 'a')).toBe(null);
  expect(performance.now() - began).toBeLessThan(10_000);
});

test('a line takes so many steps and no more, however many matches it has', () => {
  const line = 'ab'.repeat(1000);
  for (const pattern of ['ab+', '(a|b)*c|a', '(\\w+\\W?){1,50}x|ab', '(.*?a){1,20}', '(.*a){20}c']) {
    const one = Pattern.of(pattern);
    expect(one?.ranges(line, 200)[0]?.[0] ?? 0, pattern).toBe(0);
    expect(one?.steps, pattern).toBeLessThanOrEqual(50_001);
  }
  const many = Pattern.of('ab+');
  expect(many?.ranges(line, 200)).toHaveLength(200);
  expect(many?.steps).toBeLessThan(3000);
});
