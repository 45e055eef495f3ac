import { expect, test } from 'vitest';
import { flag, list, maybe, oneOf, readState, text, whole, writeState } from './urlstate';

const SPEC = {
  q: text(),
  sort: oneOf(['name', 'cpu'], 'name'),
  up: flag(true),
  status: list(['running', 'failed'] as const),
  page: whole(1),
  from: maybe(),
};

test('what is as it is at first is not in the address', () => {
  expect(writeState(readState(new URLSearchParams(), SPEC), SPEC).toString()).toBe('');
});

test('a state comes back as it was', () => {
  const state = {
    q: 'a & b',
    sort: 'cpu' as const,
    up: false,
    status: ['failed' as const],
    page: 3,
    from: 1_700_000_000_000,
  };
  expect(readState(writeState(state, SPEC), SPEC)).toEqual(state);
});

test('what is not allowed is the default', () => {
  const state = readState(
    new URLSearchParams('sort=evil&up=maybe&status=running,evil,&page=1e9&from=-1'),
    SPEC,
  );
  expect(state).toEqual({ q: '', sort: 'name', up: true, status: ['running'], page: 1, from: null });
});
