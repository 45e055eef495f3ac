// Light or dark: as the system is, unless somebody chose.

export type Choice = 'auto' | 'light' | 'dark';
const KEY = 'tenement.theme';
const system = window.matchMedia('(prefers-color-scheme: dark)');

class Theme {
  choice = $state<Choice>(stored());
  private systemDark = $state(system.matches);
  readonly dark = $derived(this.choice === 'auto' ? this.systemDark : this.choice === 'dark');

  constructor() {
    system.addEventListener('change', () => {
      this.systemDark = system.matches;
      this.show();
    });
    this.show();
  }

  choose(choice: Choice): void {
    this.choice = choice;
    try {
      localStorage.setItem(KEY, choice);
    } catch {
      // A browser that keeps nothing still shows it.
    }
    this.show();
  }

  /** The next choice: auto, light, dark, auto … */
  next(): void {
    this.choose(this.choice === 'auto' ? 'light' : this.choice === 'light' ? 'dark' : 'auto');
  }

  private show(): void {
    document.documentElement.dataset.theme = this.dark ? 'dark' : 'light';
  }
}

function stored(): Choice {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === 'light' || kept === 'dark' ? kept : 'auto';
  } catch {
    return 'auto';
  }
}

export const theme = new Theme();

// To ask the browser makes it compute styles, and a table asks for each row.
const known = new Map<string, string>();

/** The colour that a custom property has now, for a canvas. */
export function colour(name: string): string {
  const key = `${name} ${theme.dark}`;
  let value = known.get(key);
  if (value === undefined) {
    value = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    known.set(key, value);
  }
  return value;
}
