// What people do to instances. A word such as "stopping…" stands where the status is until the daemon has answered and
// the stream has said what became of it; nothing is shown as done before it is.
//
//   run ──> asks, where it has consequences ──> word, toast ──> POST or DELETE ──> what became of it
import { again } from '../api/again';
import { ApiError, del, get, post, wordsOf } from '../api/client';
import type { Status } from '../api/types';
import { confirm, type Question } from './confirm.svelte';
import { overview } from './overview.svelte';
import { toasts } from './toasts.svelte';

export type Target = { service: string; id: string; instance: string; rps?: number };
export type Action = 'start' | 'stop' | 'restart' | 'remove' | 'purge';

const WORDS: Record<Action, { now: string; saying: string; done: string; failed: string }> = {
  start: { now: 'starting…', saying: 'Starting', done: 'runs', failed: 'did not start' },
  stop: { now: 'stopping…', saying: 'Stopping', done: 'is stopped', failed: 'was not stopped' },
  restart: { now: 'restarting…', saying: 'Restarting', done: 'was restarted', failed: 'was not restarted' },
  remove: { now: 'deleting…', saying: 'Deleting', done: 'is deleted', failed: 'was not deleted' },
  purge: { now: 'erasing…', saying: 'Erasing', done: 'is erased, with all it had', failed: 'was not erased' },
};
/** The stream tells a change within 200 ms; the word stays until then, so that the old status does not flash up. */
const GRACE = 600;
/** Seconds until a restart has to be through. */
const BACK = 60;
/** Milliseconds between two looks, growing, where the stream does not say when to. */
const TURN = { first: 300, longest: 5000 };

/** Whether it can be done with an instance that is so: what the buttons offer, and keys do. */
export function offers(status: Status, action: Action): boolean {
  const up = status === 'running' || status === 'starting' || status === 'restarting';
  if (action === 'start') return !up && status !== 'stopping';
  if (action === 'restart') return up;
  return action !== 'stop' || up || status === 'sleeping';
}

class Actions {
  private words = $state.raw<ReadonlyMap<string, string>>(new Map());

  /** What was asked for and is not done yet. */
  pending(instance: string): string | null {
    return this.words.get(instance) ?? null;
  }

  /** Does it, after a question where it has consequences; says whether it is done. */
  async run(action: Action, target: Target, byKey = false): Promise<boolean> {
    if (this.words.has(target.instance)) return false;
    const question = questionOf(action, target, byKey);
    if (question !== null && !(await confirm.ask(question))) return false;
    const { now, saying, done, failed } = WORDS[action];
    this.mark(target.instance, now);
    const toast = toasts.say('info', `${saying} ${target.instance}…`, null, true);
    let grace = GRACE;
    try {
      await this.send(action, target);
      toasts.change(toast, 'good', `${target.instance} ${done}`);
      return true;
    } catch (error) {
      grace = 0;
      const words = already(action, target, error);
      if (words !== null) {
        toasts.change(toast, 'info', words);
        return true;
      }
      toasts.change(toast, 'bad', `${target.instance} ${failed}`, wordsOf(error));
      return false;
    } finally {
      setTimeout(() => this.mark(target.instance, null), grace);
    }
  }

  private async send(action: Action, { service, id }: Target): Promise<void> {
    const path = { service, id };
    if (action === 'start') await post('/api/instances/{service}/{id}/start', { path });
    else if (action === 'stop') await post('/api/instances/{service}/{id}/stop', { path });
    else if (action === 'remove') await del('/api/instances/{service}/{id}', { path });
    else if (action === 'purge') await del('/api/instances/{service}/{id}', { path, query: { purge: true } });
    else {
      await post('/api/instances/{service}/{id}/restart', { path });
      await this.runs(path, `${service}:${id}`);
    }
  }

  /**
   * Resolves when it runs; throws why it does not. It looks again and again: a wait that the daemon ends with 408 is
   * sent once more by the browser itself, and nobody here would hear of it.
   */
  private async runs(path: { service: string; id: string }, instance: string): Promise<void> {
    const end = performance.now() + BACK * 1000;
    for (let turn = TURN.first; performance.now() < end; turn = Math.min(TURN.longest, turn * 2)) {
      const known = said(instance);
      const found = await get('/api/instances/{service}/{id}', { path }).catch(async (error: unknown) => {
        // A daemon that is being replaced is back in a moment, and one that is asked too much says when.
        const passing = again(error, 1);
        if (passing === null) throw error;
        await sleep(passing);
        return null;
      });
      if (found?.status === 'running') return;
      if (found?.status === 'failed' || found?.status === 'stopped')
        throw new Error(found.reason ?? `It is ${found.status}.`);
      await pause(turn, instance, known);
    }
    throw new Error(`It was not running again after ${BACK} s.`);
  }

  private mark(instance: string, word: string | null): void {
    const words = new Map(this.words);
    if (word === null) words.delete(instance);
    else words.set(instance, word);
    this.words = words;
  }
}

/** Somebody else was first, and what was wanted is so; null where it is not. */
function already(action: Action, { instance }: Target, error: unknown): string | null {
  if (!(error instanceof ApiError)) return null;
  if (action === 'start') return error.status === 409 ? error.message : null;
  const gone = error.status === 404 && (action === 'remove' || action === 'purge');
  return gone ? `${instance} is gone already` : null;
}

/** The status by the stream, and since when; null where it does not say. */
function said(instance: string): string | null {
  const row = overview.row(instance);
  return row && `${row.status} ${row.since}`;
}

/** For so many milliseconds, or until the stream says something else than `known`. */
async function pause(wait: number, instance: string, known: string | null): Promise<void> {
  const end = performance.now() + wait;
  while (performance.now() < end && said(instance) === known) await sleep(TURN.first);
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What is asked first; null where nothing is lost by it. */
function questionOf(action: Action, { instance, rps = 0 }: Target, byKey: boolean): Question | null {
  // A key is easily hit by mistake.
  if (action === 'restart' && byKey)
    return { title: `Restart ${instance}?`, text: 'It ends, and starts again.', action: 'Restart' };
  if (action === 'stop' && byKey && rps === 0)
    return {
      title: `Stop ${instance}?`,
      text: 'It answers 503 then, and no request wakes it until it is started again.',
      action: 'Stop',
    };
  if (action === 'stop' && rps > 0)
    return {
      title: `Stop ${instance}?`,
      text: 'It has requests just now. Stopped, it answers 503, and no request wakes it until it is started again.',
      action: 'Stop',
      danger: true,
    };
  if (action === 'remove')
    return {
      title: `Delete ${instance}?`,
      text: 'It is stopped and forgotten, its variables too. Its data stays unless storage_persist is false, its logs until their retention ends: a spawn with the same id finds both.',
      action: 'Delete',
      danger: true,
    };
  if (action === 'purge')
    return {
      title: `Erase ${instance} and all it has?`,
      text: 'Its data, logs and events are erased, and tokens that are bound to it are revoked. This can’t be undone.',
      action: 'Erase everything',
      danger: true,
      typed: instance,
    };
  return null;
}

export const actions = new Actions();
