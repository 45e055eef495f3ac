// Lines as text for the clipboard: what is read, without escapes that a terminal would carry out.
import { plain } from '../../lib/ansi';
import type { Line } from '../../lib/linewindow';
import { toasts } from '../../stores/toasts.svelte';
import { fullTime } from './time';

/** One line of text for each: time, instance, level, words; a single one is its words only. */
export function textOf(lines: readonly Line[], named: boolean, utc: boolean): string {
  if (lines.length === 1) return plain(lines[0].log.message);
  return lines
    .map(({ at, log }) => {
      const who = named ? ` ${log.instance}` : '';
      return `${fullTime(at, utc)}${who} ${log.level.toUpperCase().padEnd(5)} ${plain(log.message)}\n`;
    })
    .join('');
}

export async function copyText(text: string, done: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toasts.say('good', done);
  } catch {
    // Browsers give the clipboard to https and localhost only.
    toasts.say(
      'bad',
      'The browser does not allow copying here',
      'Select the text, and copy it with the keyboard.',
    );
  }
}
