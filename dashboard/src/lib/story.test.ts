import { describe, expect, test } from 'vitest';
import { endOf, storyOf, type Happened } from './story';

const event = (own: Partial<Happened>): Happened => ({
  id: 1,
  timestamp: '2024-01-12T10:30:00.123Z',
  instance: 'web:a',
  service: 'web',
  from: 'running',
  to: 'restarting',
  health: 'healthy',
  cause: 'exit',
  oom: false,
  duration_ms: 1200,
  ...own,
});

describe('storyOf', () => {
  test('an end by itself is a crash unless its code is 0', () => {
    expect(storyOf(event({ exit_code: 3 })).title).toBe('Crashed');
    expect(storyOf(event({ signal: 11 })).title).toBe('Crashed');
    expect(storyOf(event({ oom: true, signal: 9 })).title).toBe('Ended for want of memory');
    expect(storyOf(event({ exit_code: 0 })).title).toBe('Ended by itself');
  });

  test('a cause of a newer daemon is told as it is', () => {
    const story = storyOf(event({ cause: 'moved' as Happened['cause'] }));
    expect(story.title).toBe('Something else happened: moved');
  });

  test('a request wakes what slept, and starts what did not', () => {
    expect(storyOf(event({ cause: 'request', from: 'sleeping', to: 'starting' })).title).toBe(
      'Woken by a request',
    );
    expect(storyOf(event({ cause: 'request', from: 'failed', to: 'starting' })).title).toBe(
      'Started by a request',
    );
  });

  test('what is gone is given up, asleep, forgotten or only gone', () => {
    const title = (to: Happened['to']): string =>
      storyOf(event({ cause: 'gone', from: 'stopping', to })).title;
    expect(title('failed')).toBe('Given up');
    expect(title('sleeping')).toBe('Asleep');
    expect(title(null)).toBe('Forgotten');
    expect(title('stopped')).toBe('Its processes are gone');
  });
});

test('endOf names signals', () => {
  expect(endOf(event({ signal: 9 }))).toBe('signal 9, SIGKILL');
  expect(endOf(event({ signal: 40 }))).toBe('signal 40');
  expect(endOf(event({ exit_code: 0 }))).toBe('code 0');
  expect(endOf(event({ oom: true, signal: 9 }))).toBe('out of memory');
  expect(endOf(event({}))).toBeNull();
});
