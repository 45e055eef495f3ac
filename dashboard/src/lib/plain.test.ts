import { expect, test } from 'vitest';
import { plain } from './plain';

test('what a terminal would act on is left out, all else stays', () => {
  expect(plain('\x1b[1;32mgreen\x1b[0m\ttab')).toBe('green\ttab');
  expect(plain('\x1b]0;title\x07text\x1b]8;;http://x\x1b\\link')).toBe('textlink');
  expect(plain('a\rb\bc\x00')).toBe('abc');
  expect(plain('[31m is no escape, äöü neither')).toBe('[31m is no escape, äöü neither');
});
