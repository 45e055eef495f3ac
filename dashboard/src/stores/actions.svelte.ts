// What somebody has done to an instance: asked for where it costs something, shown at once, and true in the end.
//
//   click ──> asks, if it has consequences ──> pending: "stopping…" ──> POST / DELETE ──> toast: what became of it
import { SvelteMap } from 'svelte/reactivity';
import { ApiError, del, get, post, wordsOf } from '../api/client';
import { confirm } from './confirm.svelte';
import { toasts } from './toasts.svelte';

/** An instance, as far as actions need to know it. */
export type Target = {
  service: string;
  id: string;
  /** Requests per second now: a stop asks first when there are some. */
  rps?: number;
};

const nameOf = (of: Target): string => `${of.service}:${of.id}`;
const pathOf = (of: Target): { service: string; id: string } => ({ service: of.service, id: of.id });
/** Seconds of one question; an instance that failed meanwhile is noticed after so long. */
const TURN = 3;
const PATIENCE = 90_000;

class Actions {
  /** By instance: what was asked for and is not so yet, as "stopping…". */
  readonly pending = new SvelteMap<string, string>();

  start(of: Target): Promise<boolean> {
    return this.carryOut(of, 'starting…', `Starting ${nameOf(of)}…`, async () => {
      await post('/api/instances/{service}/{id}/start', { path: pathOf(of) });
      return `${nameOf(of)} is running`;
    });
  }

  restart(of: Target): Promise<boolean> {
    return this.carryOut(of, 'restarting…', `Restarting ${nameOf(of)}…`, async () => {
      await post('/api/instances/{service}/{id}/restart', { path: pathOf(of) });
      await this.runs(of);
      return `${nameOf(of)} runs again`;
    });
  }

  async stop(of: Target): Promise<boolean> {
    if ((of.rps ?? 0) > 0) {
      const yes = await confirm.ask({
        title: `Stop ${nameOf(of)}?`,
        text: 'It has requests just now. They get the time of stop_timeout to finish; after that its address answers 503 until somebody starts it.',
        action: 'Stop',
        danger: true,
      });
      if (!yes) return false;
    }
    return this.carryOut(of, 'stopping…', `Stopping ${nameOf(of)}…`, async () => {
      await post('/api/instances/{service}/{id}/stop', { path: pathOf(of) });
      return `${nameOf(of)} is stopped`;
    });
  }

  async remove(of: Target): Promise<boolean> {
    const yes = await confirm.ask({
      title: `Delete ${nameOf(of)}?`,
      text: 'It is stopped and forgotten, its variables too. Its data stays unless storage_persist is false, and its logs until their retention ends: a spawn with the same id finds both.',
      action: 'Delete',
      danger: true,
    });
    if (!yes) return false;
    return this.carryOut(of, 'deleting…', `Deleting ${nameOf(of)}…`, async () => {
      await del('/api/instances/{service}/{id}', { path: pathOf(of) });
      return `${nameOf(of)} is deleted`;
    });
  }

  async purge(of: Target): Promise<boolean> {
    const yes = await confirm.ask({
      title: `Erase ${nameOf(of)} and all it has?`,
      text: 'Its data, logs and events are erased, and tokens that are bound to it are revoked. This can’t be undone.',
      action: 'Erase everything',
      danger: true,
      typed: nameOf(of),
    });
    if (!yes) return false;
    return this.carryOut(of, 'erasing…', `Erasing ${nameOf(of)}…`, async () => {
      await del('/api/instances/{service}/{id}', { path: pathOf(of), query: { purge: true } });
      return `${nameOf(of)} and all it had is erased`;
    });
  }

  /** Resolves when it runs; throws when it fails, with why, or when that takes too long. */
  private async runs(of: Target): Promise<void> {
    const end = performance.now() + PATIENCE;
    const path = pathOf(of);
    while (performance.now() < end) {
      try {
        await get('/api/instances/{service}/{id}/wait', {
          path,
          query: { status: 'running', timeout: TURN },
        });
        return;
      } catch (error) {
        if (!(error instanceof ApiError && error.status === 408)) throw error;
      }
      const now = await get('/api/instances/{service}/{id}', { path });
      if (now.status === 'running') return;
      if (now.status === 'failed' || now.status === 'stopped')
        throw new Error(now.reason ?? `It is ${now.status}`);
    }
    throw new Error('It is not running yet; its timeline says how far it is.');
  }

  private async carryOut(
    of: Target,
    word: string,
    doing: string,
    act: () => Promise<string>,
  ): Promise<boolean> {
    const name = nameOf(of);
    // Twice the same at the same time would only be refused.
    if (this.pending.has(name)) return false;
    this.pending.set(name, word);
    const toast = toasts.say('info', doing);
    try {
      toasts.change(toast, 'good', await act());
      return true;
    } catch (error) {
      toasts.change(toast, 'bad', `${doing.replace('…', '')}: that failed`, wordsOf(error));
      return false;
    } finally {
      this.pending.delete(name);
    }
  }
}

export const actions = new Actions();
