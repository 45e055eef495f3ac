// The keys of the logs page.
import { tick } from 'svelte';
import type { Shortcut } from '../../lib/keys';
import type { Line } from '../../lib/linewindow';
import type LogList from './LogList.svelte';
import type { RowActions } from './LogRow.svelte';
import type { Choice } from './unfolded.svelte';

type Here = {
  lines: readonly Line[];
  choice: Choice;
  list: ReturnType<typeof LogList> | undefined;
};
type Does = {
  here: () => Here;
  actions: RowActions;
  pause: () => void;
  newest: () => void;
  copyMany: (lines: readonly Line[]) => void;
  /** Out of the context, or of what is chosen. */
  leave: () => void;
};

const key = (keys: string, label: string, run: () => void): Shortcut => ({ keys, label, group: 'Logs', run });

function lineOf({ lines, choice }: Here): Line | undefined {
  return choice.current === null ? undefined : lines[choice.current - (lines[0]?.ord ?? 0)];
}

/** Keys of a line that has the focus. */
export function rowKeys(here: () => Here): Shortcut[] {
  const unfold = (): void => {
    const { choice, list } = here();
    const line = lineOf(here());
    if (line === undefined) return;
    choice.toggle(choice.open, line.ord);
    void tick().then(() => list?.show(line.ord));
  };
  return [key('Enter', 'Fields of the line', unfold)];
}

export function logKeys(does: Does): Shortcut[] {
  const { here, actions } = does;
  const current = (): Line | undefined => lineOf(here());

  /** From the newest line, where none is chosen. */
  async function move(by: number, extend: boolean): Promise<void> {
    const { lines, choice, list } = here();
    if (lines.length === 0) return;
    const first = lines[0].ord;
    const last = lines[lines.length - 1].ord;
    const from =
      choice.current !== null && choice.current >= first && choice.current <= last ? choice.current : null;
    const to = from === null ? last : Math.min(last, Math.max(first, from + by));
    choice.choose(to, extend);
    await list?.show(to);
    list?.focusRow(to);
  }

  function on(act: (line: Line) => void): () => void {
    return () => {
      const line = current();
      if (line !== undefined) act(line);
    };
  }

  const placed = (act: ((line: Line) => void) | null) =>
    on((line) => {
      if (line.log.seq !== undefined && line.log.dropped === undefined) act?.(line);
    });

  function copy(): void {
    const { lines, choice } = here();
    const span = choice.span;
    const line = current();
    if (span === null || line === undefined) return;
    const first = lines[0].ord;
    const many = lines.slice(Math.max(0, span[0] - first), span[1] - first + 1);
    if (many.length > 1) does.copyMany(many);
    else actions.copy(line);
  }

  const key = (keys: string, label: string, run: () => void): Shortcut => ({
    keys,
    label,
    group: 'Logs',
    run,
  });
  return [
    key('j', 'Next line', () => void move(1, false)),
    key('k', 'Line before', () => void move(-1, false)),
    key('J', 'Choose also the next line', () => void move(1, true)),
    key('K', 'Choose also the line before', () => void move(-1, true)),
    key(
      'c',
      'Lines around it',
      placed((line) => actions.context?.(line)),
    ),
    key('y', 'Copy the line, or those chosen', copy),
    key('l', 'Copy a link to the line', placed(actions.link)),
    key('p', 'Pause, go on', does.pause),
    key('G', 'To the newest line', does.newest),
    key('Escape', 'Back from the context', does.leave),
  ];
}
