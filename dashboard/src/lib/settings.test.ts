import { expect, test } from 'vitest';
import { flat, valueWords } from './settings';

test('values have their units, and what is not set says what follows', () => {
  expect(valueWords('idle_timeout', 120)).toBe('2m');
  expect(valueWords('stop_timeout', 5)).toBe('5 s');
  expect(valueWords('stop_timeout', 0.5)).toBe('500 ms');
  expect(valueWords('idle_timeout', null)).toBe('never');
  expect(valueWords('backoff_max_ms', 60_000)).toBe('1m');
  expect(valueWords('log_max_size', 1073741824)).toBe('1.00 GB');
  expect(valueWords('log_rate_limit', 1000)).toBe('1,000 lines/s');
  expect(valueWords('max_instances', 1000)).toBe('1,000');
  expect(valueWords('autostart', true)).toBe('yes');
  expect(valueWords('log_sink', [])).toBe('none');
  expect(valueWords('listen', ['127.0.0.1:8000', '[::1]:8000'])).toBe('127.0.0.1:8000, [::1]:8000');
  expect(valueWords('env.LIMIT', 5)).toBe('5');
});

test('variables are keys of their own', () => {
  expect(flat({ command: 'x', env: { A: '1' } })).toEqual({ command: 'x', 'env.A': '1' });
  expect(flat({ command: 'x' })).toEqual({ command: 'x' });
});
