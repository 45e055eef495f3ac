// Bytes to messages: lines of a body, then NDJSON.

export type Message<T> = { data: T };
/** Takes whole lines, and gives the messages that are complete with them. */
export type Parser<T> = (lines: string[]) => Message<T>[];

/** The whole lines of a body, as many at a time as there are; what follows the last line break waits. */
export async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string[]> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  // Pieces are joined only at a line break: adding to one text would copy a long line again with each piece.
  let pieces: string[] = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const text = decoder.decode(value, { stream: true });
      const end = text.lastIndexOf('\n');
      if (end < 0) {
        pieces.push(text);
        yield [];
        continue;
      }
      const whole = pieces.join('') + text.slice(0, end);
      pieces = [text.slice(end + 1)];
      yield whole.split('\n');
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** One JSON object per line; a line that is none is skipped, as a comment would be. */
export function ndjson<T>(): Parser<T> {
  return (lines) => {
    const messages: Message<T>[] = [];
    for (const line of lines) {
      const data = line.length > 1 ? parse<T>(line) : undefined;
      if (data !== undefined) messages.push({ data });
    }
    return messages;
  };
}

function parse<T>(text: string): T | undefined {
  try {
    return JSON.parse(text) as T;
  } catch {
    return undefined;
  }
}
