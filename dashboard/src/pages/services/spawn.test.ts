import { expect, test } from 'vitest';
import { envOf, idFault, nameFault, rowsOf } from './spawn';

test('ids are as the daemon allows them', () => {
  for (const id of ['a', 'user-1', 'A.b_c', '9'.repeat(63)]) expect(idFault(id)).toBeNull();
  for (const id of ['', '-a', 'a.', 'a b', '<script>', 'x'.repeat(64)]) expect(idFault(id)).not.toBeNull();
});

test('names of variables: empty rows are none, a missing or double name is a fault', () => {
  const rows = [
    { key: 1, name: 'A', value: '1' },
    { key: 2, name: '', value: '' },
    { key: 3, name: ' A', value: '2' },
    { key: 4, name: '', value: 'x' },
  ];
  expect(rows.map((row) => nameFault(row, rows))).toEqual([
    'It is there twice',
    null,
    'It is there twice',
    'The name is missing',
  ]);
  expect(envOf(rows.slice(0, 2))).toEqual({ A: '1' });
});

test('lines of an env file become rows', () => {
  expect(rowsOf('# c\nexport A=1\nB="two words"\n')).toEqual([
    { name: 'A', value: '1' },
    { name: 'B', value: 'two words' },
  ]);
  expect(rowsOf('A=1')).toEqual([{ name: 'A', value: '1' }]);
  expect(rowsOf('just a value')).toBeNull();
  expect(rowsOf('A=1\nno pair')).toBeNull();
});
