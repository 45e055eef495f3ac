import { expect, test } from 'vitest';
import { envOf, nameFault, rowsOf } from './variables';

test('empty rows are none; a name that is missing, odd or there twice is a fault', () => {
  const rows = [
    { key: 1, name: 'A', value: '1' },
    { key: 2, name: '', value: '' },
    { key: 3, name: ' A', value: '2' },
    { key: 4, name: '', value: 'x' },
    { key: 5, name: 'B-C', value: 'x' },
  ];
  expect(rows.map((row) => nameFault(row, rows))).toEqual([
    'It is there twice',
    null,
    'It is there twice',
    'The name is missing',
    '"B-C" can\'t be the name of a variable',
  ]);
  expect(envOf(rows.slice(0, 2))).toEqual({ A: '1' });
});

test('lines of an env file become rows, a mere name does not', () => {
  expect(rowsOf('# c\nexport A=1\nB="two words"\n')).toEqual([
    { name: 'A', value: '1' },
    { name: 'B', value: 'two words' },
  ]);
  expect(rowsOf('A=1')).toEqual([{ name: 'A', value: '1' }]);
  expect(rowsOf('A')).toBeNull();
  expect(rowsOf('')).toBeNull();
});
