import { expect, test } from 'vitest';
import { linesOf, ndjson } from './framing';

/** A body that comes in pieces of `size` bytes. */
function body(text: string, size: number): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  return new ReadableStream({
    start(controller) {
      for (let i = 0; i < bytes.length; i += size) controller.enqueue(bytes.slice(i, i + size));
      controller.close();
    },
  });
}

async function read<T>(text: string, size: number, parser: (lines: string[]) => T[]): Promise<T[]> {
  const all: T[] = [];
  for await (const lines of linesOf(body(text, size))) all.push(...parser(lines));
  return all;
}

test('NDJSON is the same however it is cut', async () => {
  const text = '{"a":"ü"}\n\n{"a":"€"}\nno json\n{"a":"🦀"}\n{"a":"not ended';
  for (const size of [1, 2, 3, 7, 1000]) {
    const messages = await read(text, size, ndjson<{ a: string }>());
    expect(messages.map((message) => message.data.a)).toEqual(['ü', '€', '🦀']);
  }
});
