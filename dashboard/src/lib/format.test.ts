import { expect, test } from 'vitest';
import { NONE, ago, bytes, count, duration, lasting, megabytes, percent, plural, rate } from './format';

test('counts are short', () => {
  expect([0, 7, 1234, 9999, 10_000, 123_456, 999_600, 1_234_567].map(count)).toEqual([
    '0',
    '7',
    '1,234',
    '9,999',
    '10.0k',
    '123k',
    '1.00M',
    '1.23M',
  ]);
});

test('rates keep what matters', () => {
  expect([0, 0.001, 0.05, 3.44, 42.4, 120.4, 12_345].map(rate)).toEqual([
    '0',
    '<0.01',
    '0.05',
    '3.4',
    '42',
    '120',
    '12.3k',
  ]);
});

test('what is rounded up has no more digits for it', () => {
  expect([0.996, 9.96, 99.6, 99.96, 999.6].map(rate)).toEqual(['1.0', '10', '100', '100', '1,000']);
  expect([99.96, 9.996, 999.4].map((mb) => megabytes(mb))).toEqual(['100 MB', '10.0 MB', '999 MB']);
  expect([0.01, 0.04, 0.05].map(percent)).toEqual(['<0.1%', '<0.1%', '0.1%']);
  expect([0, 0.04, 0.3, 0.97, 999.7].map(duration)).toEqual(['0 ms', '0.1 ms', '0.3 ms', '1 ms', '1.0 s']);
});

test('what has just begun does not last 0 ms until the next second', () => {
  expect([-400, 0, 999, 1000].map(lasting)).toEqual(['<1 s', '<1 s', '<1 s', '1.0 s']);
});

test('sizes are in powers of 1024', () => {
  expect([0, 512, 1023, 1024, 1536, 1024 ** 2, 999.4 * 1024 ** 2].map(bytes)).toEqual([
    '0 B',
    '512 B',
    '1.00 KB',
    '1.00 KB',
    '1.50 KB',
    '1.00 MB',
    '999 MB',
  ]);
  expect(megabytes(1536)).toBe('1.50 GB');
});

test('lengths of time have their two largest parts', () => {
  const cases: [number, string][] = [
    [-5, '0 ms'],
    [350, '350 ms'],
    [1240, '1.2 s'],
    [12_999, '12 s'],
    [250_000, '4m 10s'],
    [3_600_000, '1h'],
    [11_100_000, '3h 5m'],
    [12 * 86_400_000 + 4 * 3_600_000, '12d 4h'],
  ];
  for (const [ms, words] of cases) expect(duration(ms)).toBe(words);
});

test('ages have one part', () => {
  expect([0, 1999, 12_000, 240_000, 3 * 3_600_000, 12 * 86_400_000].map((ms) => ago(0, ms))).toEqual([
    'now',
    'now',
    '12s ago',
    '4m ago',
    '3h ago',
    '12d ago',
  ]);
});

test('where there is nothing, a dash stands', () => {
  for (const show of [count, rate, bytes, megabytes, percent, duration]) {
    expect(show(null)).toBe(NONE);
    expect(show(Number.NaN)).toBe(NONE);
  }
  expect(ago(null, 0)).toBe(NONE);
  expect([0, 0.44, 9.94, 9.96, 250].map(percent)).toEqual(['0%', '0.4%', '9.9%', '10%', '250%']);
  expect(plural(1, 'instance')).toBe('1 instance');
  expect(plural(2000, 'instance')).toBe('2,000 instances');
});
