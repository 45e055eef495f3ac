import { expect, test } from 'vitest';
import { hostOf, parseName } from './names';

test('a service, an instance, or nothing that the API would refuse', () => {
  expect(parseName(' Web ')).toEqual({ service: 'web' });
  expect(parseName('web:')).toEqual({ service: 'web' });
  expect(parseName('web:user.1')).toEqual({ instance: 'web:user.1' });
  for (const text of ['', ':', 'web:-', 'a b', '<script>']) expect(parseName(text)).toEqual({});
});

test('an id with a dot has no host name, which would be that of another instance', () => {
  expect(hostOf('api', 'user-1', 'example.com')).toBe('user-1.api.example.com');
  expect(hostOf('api', 'v1.2', 'localhost')).toBe(null);
});
