// What people do to instances. A word such as "stopping…" stands where the status is until the daemon has answered and
// the stream has said what became of it; nothing is shown as done before it is.
import { ApiError, post, get, wordsOf } from '../api/client';
import { confirm } from './confirm.svelte';
import { toasts } from './toasts.svelte';

export type Target = { service: string; id: string; instance: string; rps?: number };
export type Action = 'start' | 'stop' | 'restart';

const WORDS: Record<Action, { now: string; saying: string; done: string; failed: string }> = {
  start: { now: 'starting…', saying: 'Starting', done: 'runs', failed: 'did not start' },
  stop: { now: 'stopping…', saying: 'Stopping', done: 'is stopped', failed: 'was not stopped' },
  restart: { now: 'restarting…', saying: 'Restarting', done: 'was restarted', failed: 'was not restarted' },
};
/** The stream tells a change within 200 ms; the word stays until then, so that the old status does not flash up. */
const GRACE = 600;
/** Seconds. */
const BACK = 60;

class Actions {
  private words = $state.raw<ReadonlyMap<string, string>>(new Map());

  /** What was asked for and is not done yet. */
  pending(instance: string): string | null {
    return this.words.get(instance) ?? null;
  }

  /** Does it, after a question where it has consequences. */
  async run(action: Action, target: Target): Promise<void> {
    if (this.words.has(target.instance)) return;
    if (action === 'stop' && !(await this.mayStop(target))) return;
    const { now, saying, done, failed } = WORDS[action];
    this.mark(target.instance, now);
    const toast = toasts.say('info', `${saying} ${target.instance}…`);
    try {
      await this.send(action, target);
      toasts.change(toast, 'good', `${target.instance} ${done}`);
    } catch (error) {
      toasts.change(toast, 'bad', `${target.instance} ${failed}`, reasonOf(error));
    } finally {
      setTimeout(() => this.mark(target.instance, null), GRACE);
    }
  }

  private async mayStop(target: Target): Promise<boolean> {
    if ((target.rps ?? 0) <= 0) return true;
    return confirm.ask({
      title: `Stop ${target.instance}?`,
      text: 'It has requests just now. Stopped, it answers 503, and no request wakes it until it is started again.',
      action: 'Stop',
      danger: true,
    });
  }

  private async send(action: Action, { service, id }: Target): Promise<void> {
    const path = { service, id };
    if (action === 'start') await post('/api/instances/{service}/{id}/start', { path });
    else if (action === 'stop') await post('/api/instances/{service}/{id}/stop', { path });
    else {
      await post('/api/instances/{service}/{id}/restart', { path });
      await get('/api/instances/{service}/{id}/wait', { path, query: { status: 'running', timeout: BACK } });
    }
  }

  private mark(instance: string, word: string | null): void {
    const words = new Map(this.words);
    if (word === null) words.delete(instance);
    else words.set(instance, word);
    this.words = words;
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof ApiError && error.status === 408) return `It was not running again after ${BACK} s.`;
  return wordsOf(error);
}

export const actions = new Actions();
