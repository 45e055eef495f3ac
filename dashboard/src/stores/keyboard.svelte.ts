// All shortcuts that are in force: the shell's, and those of the page that is shown.
import { untrack } from 'svelte';
import { Sequence, type Shortcut } from '../lib/keys';

class Keyboard {
  shortcuts = $state.raw<Shortcut[]>([]);
  helpOpen = $state(false);
  private readonly sequence = new Sequence();

  constructor() {
    window.addEventListener('keydown', (event) => this.press(event));
  }

  /** Adds shortcuts; the function that is returned takes them away, so that `$effect(() => keyboard.use([...]))` does. */
  use(shortcuts: Shortcut[]): () => void {
    // An effect that adds some must not run again because there are some.
    this.shortcuts = [...untrack(() => this.shortcuts), ...shortcuts];
    return () => (this.shortcuts = this.shortcuts.filter((one) => !shortcuts.includes(one)));
  }

  private press(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || event.isComposing) return;
    if (isTyping(event.target) || (event.key === 'Enter' && isPressed(event.target))) return;
    if (document.querySelector('dialog[open]') !== null) return;
    const hit = this.sequence.press(event.key, event.timeStamp, this.shortcuts);
    if (hit === null) return;
    event.preventDefault();
    if (hit !== 'waiting') hit.run();
  }
}

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement)
    return !['checkbox', 'radio', 'button', 'range'].includes(target.type);
  return (
    target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement
  );
}

/** What Enter is for already, whatever the page would do by it. */
function isPressed(target: EventTarget | null): boolean {
  return (
    target instanceof Element && target.closest('a, button, summary, [role=tab], [role=slider]') !== null
  );
}

export const keyboard = new Keyboard();
