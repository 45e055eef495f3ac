// Asks before something that can't be undone.

export type Question = {
  title: string;
  /** What follows from it. */
  text: string;
  /** What the button says, a verb: "Delete". */
  action: string;
  danger?: boolean;
  /** A text that has to be typed first. */
  typed?: string;
};

class Confirm {
  question = $state.raw<Question | null>(null);
  private answer: ((yes: boolean) => void) | null = null;

  constructor() {
    // Who goes to another page has not said yes; a link that signs in asks after that.
    window.addEventListener('popstate', () => this.settle(false));
  }

  /** Resolves with whether somebody said yes. */
  ask(question: Question): Promise<boolean> {
    this.settle(false);
    this.question = question;
    return new Promise((resolve) => (this.answer = resolve));
  }

  settle(yes: boolean): void {
    this.answer?.(yes);
    this.answer = null;
    this.question = null;
  }
}

export const confirm = new Confirm();
