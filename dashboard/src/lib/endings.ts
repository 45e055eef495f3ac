// What lines of a file end with: an editor has LF only, and a file keeps what it has.

/** `mixed`: not all lines end alike. */
export type Ending = 'lf' | 'crlf' | 'mixed';

export function endingOf(text: string): Ending {
  const all = withLf(text).split('\n').length - 1;
  const lf = text.match(/(?<!\r)\n/g)?.length ?? 0;
  if (lf === all) return 'lf';
  return text.match(/\r\n/g)?.length === all ? 'crlf' : 'mixed';
}

/** As an editor has it. */
export function withLf(text: string): string {
  return text.replace(/\r\n?/g, '\n');
}

/** As it is written. Which line of mixed ones had which end is not known any more: they get LF. */
export function written(text: string, ending: Ending): string {
  return ending === 'crlf' ? text.replaceAll('\n', '\r\n') : text;
}
