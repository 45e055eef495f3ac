// The configuration file while somebody edits it: its text, what the daemon says of that, and writing it.
//
//   GET file ──> text ──edited──> after a pause: POST plan ──> plan, or findings at their lines
//                 └──> PUT with the tag of what was read ──> written │ 412: somebody else wrote it ──> conflict
import { again } from '../../api/again';
import { ApiError, request, wordsOf, type Schemas } from '../../api/client';
import { endingOf, withLf, written, type Ending } from '../../lib/endings';
import type { Question } from '../../stores/confirm.svelte';
import { session } from '../../stores/session.svelte';

export type Plan = Schemas['ReloadPlan'];
export type Finding = Schemas['ConfigFinding'];
/** `text` is what an editor makes of `raw`, which is what there is. */
type File = { path: string; text: string; raw: string; etag: string };
/** What the daemon says of a text. */
export type Verdict =
  | { kind: 'plan'; plan: Plan }
  | { kind: 'refused'; message: string; findings: Finding[] }
  | { kind: 'unknown'; message: string };

/** Milliseconds after the last key. */
const PAUSE = 300;
const UNSAVED: Question = {
  title: 'Leave what is not saved?',
  text: 'The configuration file was edited here and not saved. It is forgotten with the session.',
  action: 'Drop it',
  danger: true,
};

class Draft {
  file = $state.raw<File | null>(null);
  text = $state('');
  error = $state.raw<Error | null>(null);
  slow = $state(false);
  verdict = $state.raw<Verdict | null>(null);
  /** The verdict is of an earlier text. */
  checking = $state(false);
  saving = $state(false);
  /** What somebody else wrote meanwhile. */
  conflict = $state.raw<File | null>(null);
  readonly dirty = $derived(this.file !== null && this.text !== this.file.text);
  /** What lines of the file end with. */
  readonly ending = $derived<Ending>(endingOf(this.file?.raw ?? ''));
  private abort: AbortController | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private again: ReturnType<typeof setTimeout> | undefined;
  /** An answer of an earlier session, or one that was overtaken, is not for this one. */
  private run = 0;

  constructor() {
    session.onEnd(() => this.forget());
    session.beforeLeaving(() => (this.dirty ? UNSAVED : null));
    // The tab may be closed by mistake, from whatever page; going to another page loses nothing.
    $effect.root(() => {
      $effect(() => {
        if (!this.dirty) return;
        const ask = (event: BeforeUnloadEvent): void => event.preventDefault();
        window.addEventListener('beforeunload', ask);
        return () => window.removeEventListener('beforeunload', ask);
      });
    });
  }

  /** Reads the file; what was edited and not written stays. */
  async open(failures = 0): Promise<void> {
    clearTimeout(this.again);
    const run = ++this.run;
    const timer = setTimeout(() => (this.slow = this.file === null), 150);
    try {
      const file = await read();
      if (run !== this.run) return;
      this.error = null;
      // What was typed meanwhile stays, with the tag of what was read before: writing tells of the other one.
      if (!this.dirty) this.take(file);
    } catch (error) {
      if (run !== this.run) return;
      this.error = error instanceof Error ? error : new Error(String(error));
      // What passes is asked again without anybody's click.
      const wait = again(error, failures + 1);
      if (wait !== null) this.again = setTimeout(() => void this.open(failures + 1), wait);
    } finally {
      clearTimeout(timer);
      this.slow = false;
    }
    if (this.file !== null) this.check(0);
  }

  /** Nobody looks at it any more: what was edited stays. */
  leave(): void {
    this.run += 1;
    clearTimeout(this.timer);
    clearTimeout(this.again);
    this.abort?.abort();
  }

  edit(text: string): void {
    this.text = text;
    this.check();
  }

  revert(): void {
    if (this.file !== null) this.edit(this.file.text);
  }

  /** Writes it; says whether that is done. */
  async save(): Promise<boolean> {
    const { file, text } = this;
    if (file === null || this.saving) return false;
    this.saving = true;
    try {
      const headers = { 'If-Match': file.etag };
      const body = this.body();
      const { etag } = await request<{ etag: string }>('put', '/api/config/file', { body, headers });
      // Nobody is signed in any more, or somebody else is.
      if (this.file === null) return true;
      this.file = { ...file, text, raw: body, etag };
      this.check(0);
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.status === 412) {
        this.conflict = await read();
        return false;
      }
      if (error instanceof ApiError && error.status === 422) this.verdict = refusalOf(error);
      throw error;
    } finally {
      this.saving = false;
    }
  }

  /** Whether the file is still the one that the plan is of; another one is a conflict. */
  async unchanged(): Promise<boolean> {
    const now = await read();
    if (now.etag === this.file?.etag) return true;
    this.conflict = now;
    return false;
  }

  /** Ends a conflict: their text in place of ours, or ours to be written over theirs. */
  settle(take: 'theirs' | 'ours'): void {
    const theirs = this.conflict;
    this.conflict = null;
    if (theirs === null) return;
    if (take === 'theirs') this.text = theirs.text;
    this.file = theirs;
    this.check(0);
  }

  /** Asks what the text would do, after a pause; an earlier question is given up. */
  check(pause = PAUSE): void {
    clearTimeout(this.timer);
    this.abort?.abort();
    this.checking = true;
    this.timer = setTimeout(() => void this.ask(), pause);
  }

  private async ask(failures = 0): Promise<void> {
    const abort = new AbortController();
    this.abort = abort;
    try {
      const { signal } = abort;
      const plan = await request<Plan>('post', '/api/config/plan', { body: this.body(), signal });
      if (abort.signal.aborted) return;
      this.verdict = { kind: 'plan', plan };
    } catch (error) {
      if (abort.signal.aborted) return;
      this.verdict =
        error instanceof ApiError && error.status === 422
          ? refusalOf(error)
          : { kind: 'unknown', message: wordsOf(error) };
      const wait = again(error, failures + 1);
      if (wait !== null) this.timer = setTimeout(() => void this.ask(failures + 1), wait);
    }
    this.checking = false;
  }

  /** What is in the file, or would be. */
  private body(): string {
    return this.file === null || this.dirty ? written(this.text, this.ending) : this.file.raw;
  }

  private take(file: File): void {
    this.file = file;
    this.text = file.text;
  }

  private forget(): void {
    this.run += 1;
    clearTimeout(this.timer);
    clearTimeout(this.again);
    this.abort?.abort();
    this.file = this.verdict = this.conflict = this.error = null;
    this.text = '';
  }
}

async function read(): Promise<File> {
  const { path, text, etag } = await request<Omit<File, 'raw'>>('get', '/api/config/file');
  return { path, text: withLf(text), raw: text, etag };
}

function refusalOf(error: ApiError): Verdict {
  const { findings } = error.body;
  const message = error.message.replace(/^Nothing was changed: /, '');
  return {
    kind: 'refused',
    message,
    findings: Array.isArray(findings) ? (findings as Finding[]) : [],
  };
}

export const draft = new Draft();
