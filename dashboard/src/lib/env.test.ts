import { expect, test } from 'vitest';
import { idFault, parseEnv } from './env';

test('variables are read as from a .env file', () => {
  expect(parseEnv('# a\nA=1\n\nexport B = "x y"\nC=a=b\nD=')).toEqual({
    env: { A: '1', B: 'x y', C: 'a=b', D: '' },
  });
  expect(parseEnv('')).toEqual({ env: {} });
});

test('a fault names its line', () => {
  expect(parseEnv('A=1\nB')).toEqual({ error: 'Line 2 has no "=": NAME=value' });
  expect(parseEnv('1A=1')).toEqual({ error: 'Line 1: "1A" can\'t be the name of a variable' });
  expect(parseEnv('A=1\nA=2')).toEqual({ error: 'Line 2: A is there twice' });
});

test('ids are what the daemon allows', () => {
  for (const id of ['a', 'user.1_2-3', 'UPPER', 'x'.repeat(63)]) expect(idFault(id)).toBe(null);
  for (const id of ['', '.', '-a', 'a-', 'a b', 'a/b', 'a..b', 'ü', 'x'.repeat(64)])
    expect(idFault(id)).not.toBe(null);
});
