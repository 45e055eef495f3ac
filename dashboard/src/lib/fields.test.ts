import { expect, test } from 'vitest';
import { condition, fieldsOf } from './fields';

const of = (message: string): string[] =>
  fieldsOf(message).map((field) => `${field.name}=${field.value} ${field.kind}`);

test('a JSON object, with what is in it', () => {
  expect(of('{"level":"info","http":{"status":502,"ok":true},"tags":["a",1],"none":null,"s.x":""}')).toEqual([
    'level=info text',
    'http.status=502 number',
    'http.ok=true word',
    'tags=["a",1] other',
    'none=null word',
    's.x= text',
  ]);
  expect(of('{"a":1')).toEqual([]);
  expect(of('[1,2]')).toEqual([]);
});

test('pairs anywhere in a line', () => {
  expect(of('INFO done status=200 path=/v1 msg="a \\"b\\" c=1" empty= n=1.5 app=shop')).toEqual([
    'status=200 number',
    'path=/v1 text',
    'msg=a "b" c=1 text',
    'empty= text',
    'n=1.5 number',
    'app=shop text',
  ]);
  expect(of('no pairs here')).toEqual([]);
  expect(of('\x1b[32mstatus=\x1b[0m200')).toEqual(['status=200 number']);
});

test('a hostile object is bounded, and no prototype', () => {
  expect(fieldsOf(`{${Array.from({ length: 5000 }, (_, i) => `"k${i}":1`).join()}}`)).toHaveLength(200);
  expect(fieldsOf('{"a":'.repeat(5000) + '1' + '}'.repeat(5000)).length).toBeLessThan(3);
  expect(of('{"__proto__":"x","constructor":2}')).toEqual(['__proto__=x text', 'constructor=2 number']);
  expect(fieldsOf(`a="${'\\"'.repeat(30_000)}`)).toEqual([]);
});

test('conditions', () => {
  expect(condition({ name: 'status', value: '200', kind: 'number' })).toBe('status=200');
  expect(condition({ name: 'status', value: '200', kind: 'number' }, true)).toBe('status!=200');
  expect(condition({ name: 'a b', value: '1', kind: 'number' })).toBe(null);
});
