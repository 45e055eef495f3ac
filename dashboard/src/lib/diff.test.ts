import { describe, expect, test } from 'vitest';
import { diffLines, hunks } from './diff';

const marks = { same: ' ', removed: '-', added: '+' };
const show = (a: string, b: string): string[] =>
  diffLines(a, b).map((line) => `${marks[line.kind]}${line.text}`);

describe('diffLines', () => {
  test('equal texts have no difference', () => {
    expect(show('a\nb', 'a\nb')).toEqual([' a', ' b']);
  });

  test('a line that was exchanged, one that came, one that went', () => {
    expect(show('a\nb\nc', 'a\nx\nc')).toEqual([' a', '-b', '+x', ' c']);
    expect(show('a\nc', 'a\nb\nc')).toEqual([' a', '+b', ' c']);
    expect(show('a\nb\nc', 'a\nc')).toEqual([' a', '-b', ' c']);
  });

  test('lines have their numbers on both sides', () => {
    expect(diffLines('a\nb', 'b')).toEqual([
      { kind: 'removed', text: 'a', before: 1, after: null },
      { kind: 'same', text: 'b', before: 2, after: 1 },
    ]);
  });

  test('both sides can be put together again, whatever changed', () => {
    let seed = 7;
    const random = (n: number): number => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
    for (let round = 0; round < 200; round++) {
      const text = (): string => Array.from({ length: random(12) }, () => 'abcd'[random(4)]).join('\n');
      const [a, b] = [text(), text()];
      const lines = diffLines(a, b);
      const side = (without: 'added' | 'removed'): string =>
        lines
          .filter((line) => line.kind !== without)
          .map((line) => line.text)
          .join('\n');
      expect(side('added')).toBe(a);
      expect(side('removed')).toBe(b);
    }
  });

  test('two texts that have nothing in common are one exchange', () => {
    const long = (c: string): string => Array.from({ length: 1500 }, (_, i) => `${c}${i}`).join('\n');
    const lines = diffLines(long('a'), long('b'));
    expect(lines.filter((line) => line.kind === 'removed')).toHaveLength(1500);
    expect(lines.filter((line) => line.kind === 'added')).toHaveLength(1500);
  });
});

test('hunks leave out what is far from any change', () => {
  const before = Array.from({ length: 20 }, (_, i) => `line ${i}`);
  const after = before.with(10, 'other');
  const found = hunks(diffLines(before.join('\n'), after.join('\n')), 2);
  expect(found.map((hunk) => (hunk.kind === 'skipped' ? hunk.count : hunk.lines.length))).toEqual([8, 6, 7]);
});
