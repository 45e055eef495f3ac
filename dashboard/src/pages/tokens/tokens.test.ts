import { expect, test } from 'vitest';
import { boundTo, expiry, widest } from './tokens';

test('what a token may do and see', () => {
  expect(widest({ scopes: ['read', 'write', 'admin'] })).toBe('admin');
  expect(widest({ scopes: ['write'] })).toBe('read, write');
  expect(widest({ scopes: ['read'] })).toBe('read');
  expect(boundTo({ service: 'web', instance: 'web:a' })).toBe('web:a');
  expect(boundTo({ service: 'web' })).toBe('web:*');
  expect(boundTo({})).toBe('');
});

test('how long it is valid', () => {
  const now = Date.parse('2024-01-12T10:00:00Z');
  const at = (iso: string): string => expiry({ expires_at: iso }, now).words;
  expect(expiry({}, now)).toEqual({ words: 'never', tone: 'muted' });
  expect(at('2024-01-12T09:59:59Z')).toBe('expired');
  expect(at('2024-01-13T12:00:00Z')).toBe('in 1d');
  expect(at('2024-01-12T10:00:45Z')).toBe('in 45 s');
  expect(at('2024-01-12T10:05:45Z')).toBe('in 5m');
  expect(at('2024-02-11T10:00:00Z')).toBe('in 30d');
  expect(at('2025-01-12T10:00:00Z')).toBe('2025-01-12');
});
