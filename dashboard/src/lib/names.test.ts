import { expect, test } from 'vitest';
import { parseName } from './names';

test('a service, an instance, or nothing that the API would refuse', () => {
  expect(parseName(' Web ')).toEqual({ service: 'web' });
  expect(parseName('web:')).toEqual({ service: 'web' });
  expect(parseName('web:user.1')).toEqual({ instance: 'web:user.1' });
  for (const text of ['', ':', 'web:-', 'a b', '<script>']) expect(parseName(text)).toEqual({});
});
