import { expect, test } from 'vitest';
import { pieces, plain } from './ansi';

const ESC = '\x1b';
const styles = (text: string) =>
  pieces(text).map((piece) =>
    piece.kind === 'text' ? [piece.text, piece.style?.fg ?? null, piece.style?.bg ?? null] : piece.text,
  );

test('what has nothing in it is one piece', () => {
  expect(pieces('plain 🙂 text\twith tab')).toEqual([
    { kind: 'text', text: 'plain 🙂 text\twith tab', style: null },
  ]);
  expect(pieces('')).toEqual([]);
});

test('colours of 16, of 256 and of 24 bits', () => {
  expect(styles(`${ESC}[31mred${ESC}[0m no ${ESC}[97;44mwhite on blue${ESC}[m`)).toEqual([
    ['red', 1, null],
    [' no ', null, null],
    ['white on blue', 15, 4],
  ]);
  expect(styles(`${ESC}[38;5;9ma${ESC}[38;5;196mb${ESC}[38;5;244mc`)).toEqual([
    ['a', 9, null],
    ['b', '#ff0000', null],
    ['c', '#808080', null],
  ]);
  expect(styles(`${ESC}[38;2;1;2;255;48;5;20mx`)).toEqual([['x', '#0102ff', '#0000d7']]);
  // What means nothing changes nothing.
  expect(styles(`${ESC}[38;2;999;0;0ma${ESC}[38;5;777mb${ESC}[38mc`)).toEqual([
    ['a', null, null],
    ['b', null, null],
    ['c', null, null],
  ]);
});

test('turned around, and back', () => {
  expect(styles(`${ESC}[31;7ma${ESC}[32mb${ESC}[27mc`)).toEqual([
    ['a', null, 1],
    ['b', null, 2],
    ['c', 2, null],
  ]);
  expect(styles(`${ESC}[31;27ma${ESC}[7;7;44mb`)).toEqual([
    ['a', 1, null],
    ['b', 4, 1],
  ]);
});

test('bold and the like', () => {
  const [piece] = pieces(`${ESC}[1;3;4;9mx`);
  expect(piece).toMatchObject({
    style: { bold: true, italic: true, underline: true, strike: true, dim: false },
  });
  expect(styles(`${ESC}[1mx${ESC}[22my`)[1]).toEqual(['y', null, null]);
});

// faults: G3
test('other sequences are not carried out, and seen', () => {
  for (const sequence of [
    `${ESC}[2J`,
    `${ESC}]0;title\x07`,
    `${ESC}]52;c;aGk=${ESC}\\`,
    '\x9b2J',
    `${ESC}c`,
    `${ESC}(0`,
    `${ESC}[?25l`,
  ]) {
    expect(styles(`a${sequence}b`), JSON.stringify(sequence)).toEqual([
      ['a', null, null],
      '‹ESC›',
      ['b', null, null],
    ]);
  }
  expect(pieces(`${ESC}]52;c;aGk=\x07`)[0]).toMatchObject({ title: expect.stringContaining('52;c;aGk=') });
});

test('one that never ends hides nothing', () => {
  expect(plain(`a${ESC}]0;the rest`)).toBe('a0;the rest');
  expect(plain(`a${ESC}[31`)).toBe('a');
  expect(plain(`a${ESC}`)).toBe('a');
});

test('what can not be seen is named', () => {
  expect(plain('a\0b')).toBe('a‹NUL›b');
  expect(plain('user\u202egnp.exe')).toBe('user‹202E›gnp.exe');
  expect(plain('ad\u200bmin')).toBe('ad‹200B›min');
  expect(plain('\ud800x')).toBe('‹D800›x');
  expect(plain('\0'.repeat(500))).toBe('‹NUL›×500');
  expect(plain('a\r\u2028b\ufeff')).toBe('a‹CR›‹2028›b‹FEFF›');
  // Joiners where they belong.
  expect(plain('👩‍💻 می‌خواهم')).toBe('👩‍💻 می‌خواهم');
});

test('a line of escapes only stays small', () => {
  const bomb = pieces(`${ESC}[31ma${ESC}[32mb`.repeat(20_000));
  expect(bomb.length).toBeLessThan(600);
  expect(pieces(`${ESC}[2J`.repeat(10_000))).toMatchObject([{ text: '‹ESC›×10000' }]);
  expect(pieces(`${ESC}[${'1;'.repeat(50_000)}mx`)).toHaveLength(1);
});
