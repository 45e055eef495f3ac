import { expect, test } from 'vitest';
import { Measured, fixed, inSight, near, reveal } from './virtual';

test('only rows in sight, and some to spare', () => {
  const rows = fixed(10_000, 34);
  expect(rows.total).toBe(340_000);
  expect(inSight(rows, 0, 680, 4)).toEqual({ first: 0, last: 25 });
  expect(inSight(rows, 3400, 680, 4)).toEqual({ first: 96, last: 125 });
  expect(inSight(rows, 1e9, 680, 4)).toEqual({ first: 9995, last: 10_000 });
  expect(inSight(rows, -500, 300, 0)).toEqual({ first: 0, last: 1 });
  expect(inSight(fixed(0, 34), 0, 680, 4)).toEqual({ first: 0, last: 0 });
});

test('a row comes into sight by as little scrolling as it takes', () => {
  const rows = fixed(100, 10);
  expect(reveal(rows, 50, 0, 100)).toBe(410);
  expect(reveal(rows, 50, 450, 100)).toBe(null);
  expect(reveal(rows, 50, 495, 100, 20)).toBe(480);
});

test('a row that is out of sight is left for the first that is in it', () => {
  const rows = fixed(100, 10);
  expect([0, 1, 10, 995, 5000].map((scroll) => near(rows, -1, scroll, 100))).toEqual([0, 1, 1, 99, 99]);
  expect([-20, -15, 500].map((scroll) => near(rows, -1, scroll, 100, 20))).toEqual([0, 1, 52]);
  expect([51, 52, 59, 60].map((index) => near(rows, index, 500, 100, 20))).toEqual([52, 52, 59, 52]);
  expect(near(rows, 59, 499.5, 100)).toBe(59);
  expect(near(rows, 2, -300, 100)).toBe(0);
});

test('measured heights agree with the plain sum', () => {
  const rows = new Measured(20, 0);
  rows.resize(1000);
  const plain = Array.from({ length: 1000 }, () => 20);
  for (let i = 0; i < 5000; i++) {
    const index = (i * 7919) % 1000;
    const height = 10 + ((i * 31) % 90);
    rows.set(index, height);
    plain[index] = Math.abs(height - plain[index]) < 0.5 ? plain[index] : height;
  }
  let sum = 0;
  for (let i = 0; i < 1000; i++) {
    expect(rows.offset(i)).toBeCloseTo(sum, 3);
    expect(rows.at(sum + 0.1)).toBe(i);
    sum += plain[i];
  }
  expect(rows.total).toBeCloseTo(sum, 3);
  expect(rows.at(sum + 1000)).toBe(999);
});

test('rows that come and go at both ends keep the heights of the others', () => {
  const rows = new Measured(20, 3);
  rows.set(2, 50);
  rows.resize(5);
  expect(rows.total).toBe(130);
  rows.shift(-2);
  expect([rows.count, rows.offset(1), rows.total]).toEqual([3, 50, 90]);
  rows.shift(2);
  expect([rows.count, rows.offset(2), rows.offset(3)]).toEqual([5, 40, 90]);
  rows.resize(1);
  expect(rows.total).toBe(20);
  rows.resize(0);
  expect([rows.total, rows.at(0)]).toEqual([0, 0]);
});
