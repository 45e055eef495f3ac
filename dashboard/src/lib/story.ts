// An event of the history in words: what happened, why, how the process ended, and how grave that is.
import type { IconName } from '../components/icons';
import type { Schemas } from '../api/client';
import { duration } from './format';

export type Happened = Schemas['Event'];
export type Cause = Schemas['EventCause'];
export type Tone = 'running' | 'sleeping' | 'starting' | 'stopped' | 'failed';
export type Story = {
  title: string;
  tone: Tone;
  icon: IconName;
  /** Only the second half of what an event before it said. */
  quiet: boolean;
};

/** All causes, with what each means, in the order of a life; for filters. */
export const CAUSES: Record<Cause, string> = {
  boot: 'start with the daemon',
  request: 'request',
  start: 'start by hand',
  permit: 'turn to start',
  ready: 'ready',
  start_failed: 'failed start',
  exit: 'end by itself',
  unhealthy: 'unhealthy',
  backoff: 'start after a crash',
  idle: 'idle',
  restart: 'restart by hand',
  stop: 'stop by hand',
  gone: 'gone',
  reload: 'new configuration',
  removed: 'service removed',
  shutdown: 'end of the daemon',
  logs_over_rate: 'logs over their rate',
  logs_disk_full: 'disk full for logs',
  logs_disk_room: 'room for logs again',
};

/** What happened, in a few words. */
export function storyOf(event: Happened): Story {
  const tell = (title: string, tone: Tone, icon: IconName, quiet = false): Story => ({
    title,
    tone,
    icon,
    quiet,
  });
  switch (event.cause) {
    case 'boot':
      return tell('Started with the daemon', 'starting', 'play');
    case 'request':
      return tell(
        event.from === 'sleeping' ? 'Woken by a request' : 'Started by a request',
        'starting',
        'play',
      );
    case 'start':
      return tell('Started by hand', 'starting', 'play');
    case 'permit':
      return tell(`Its turn to start came after ${duration(event.duration_ms)}`, 'starting', 'play', true);
    case 'ready':
      return tell(`Ready after ${duration(event.duration_ms)}`, 'running', 'check');
    case 'start_failed':
      return tell('Did not become ready', 'failed', 'warn');
    case 'exit':
      return crashed(event)
        ? tell(event.oom ? 'Ended for want of memory' : 'Crashed', 'failed', 'warn')
        : tell('Ended by itself', 'stopped', 'stop');
    case 'unhealthy':
      return tell('Unhealthy: its health checks failed', 'failed', 'warn');
    case 'backoff':
      return tell('Started again after a pause', 'starting', 'restart');
    case 'idle':
      return tell('Put to sleep', 'sleeping', 'moon');
    case 'restart':
      return tell('Restarted by hand', 'starting', 'restart');
    case 'stop':
      return tell(event.to === null ? 'Deleted by hand' : 'Stopped by hand', 'stopped', 'stop');
    case 'gone':
      return gone(event);
    case 'reload':
      return tell('Restarted for a new configuration', 'starting', 'config');
    case 'removed':
      return tell('Its service was removed', 'stopped', 'trash');
    case 'shutdown':
      return tell('Ended with the daemon', 'stopped', 'stop');
    case 'logs_over_rate':
      return tell('Writes more lines than are kept', 'starting', 'logs');
    case 'logs_disk_full':
      return tell('No room for its lines: the disk is full', 'failed', 'logs');
    case 'logs_disk_room':
      return tell('There is room for its lines again', 'running', 'logs');
    default:
      // Of a daemon that is newer than this page.
      return tell(`Something else happened: ${String(event.cause)}`, 'stopped', 'info');
  }
}

function gone(event: Happened): Story {
  if (event.to === 'failed') return { title: 'Given up', tone: 'failed', icon: 'warn', quiet: false };
  if (event.to === 'sleeping') return { title: 'Asleep', tone: 'sleeping', icon: 'moon', quiet: true };
  if (event.to === null) return { title: 'Forgotten', tone: 'stopped', icon: 'trash', quiet: false };
  return { title: 'Its processes are gone', tone: 'stopped', icon: 'stop', quiet: true };
}

function crashed(event: Happened): boolean {
  return event.oom || known(event.signal) || (known(event.exit_code) && event.exit_code !== 0);
}

const known = (value: number | null | undefined): value is number => value !== null && value !== undefined;

const SIGNALS: Record<number, string> = {
  1: 'SIGHUP',
  2: 'SIGINT',
  3: 'SIGQUIT',
  4: 'SIGILL',
  6: 'SIGABRT',
  7: 'SIGBUS',
  8: 'SIGFPE',
  9: 'SIGKILL',
  11: 'SIGSEGV',
  13: 'SIGPIPE',
  15: 'SIGTERM',
  24: 'SIGXCPU',
  25: 'SIGXFSZ',
  31: 'SIGSYS',
};

/** How its process ended: `code 3`, `signal 9, SIGKILL`, `out of memory`; null where none ended. */
export function endOf(event: Happened): string | null {
  if (event.oom) return 'out of memory';
  if (known(event.signal)) {
    const name = SIGNALS[event.signal];
    return name === undefined ? `signal ${event.signal}` : `signal ${event.signal}, ${name}`;
  }
  return known(event.exit_code) ? `code ${event.exit_code}` : null;
}

/** Who asked for it, in words; null for the daemon itself. */
export function actorOf(event: Happened): string | null {
  if (event.actor === null || event.actor === undefined) return null;
  return event.actor === 'local' ? 'over the local socket' : `token ${event.actor}`;
}
