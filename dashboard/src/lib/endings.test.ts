import { expect, test } from 'vitest';
import { endingOf, withLf, written } from './endings';

test('a file is written with the ends of lines that it had', () => {
  for (const text of ['', 'a', 'a\nb\n', 'a\r\nb\r\n', 'a\r\n\r\nb'])
    expect(written(withLf(text), endingOf(text))).toBe(text);
  expect(endingOf('a\nb\n')).toBe('lf');
  expect(endingOf('a\r\nb\r\n')).toBe('crlf');
});

test('ends that are not alike are known to be so, and become LF', () => {
  for (const text of ['a\r\nb\n', 'a\rb\n', 'a\rb\r\n', 'a\rb']) {
    expect(endingOf(text)).toBe('mixed');
    expect(written(withLf(text), 'mixed')).not.toContain('\r');
  }
});
