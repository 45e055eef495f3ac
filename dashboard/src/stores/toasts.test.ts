import { afterEach, expect, test, vi } from 'vitest';
import { toasts } from './toasts.svelte';

vi.useFakeTimers();
afterEach(() => toasts.clear());
const texts = (): string[] => toasts.all.map((toast) => toast.text);

test('who took a message away hears of it again only at its end', () => {
  const toast = toasts.say('info', 'Downloading');
  toasts.drop(toast);
  toasts.change(toast, 'info', 'Downloading', '3 MB');
  expect(texts()).toEqual([]);
  toasts.change(toast, 'good', 'Downloaded');
  expect(texts()).toEqual(['Downloaded']);
});

test('nothing of a session that ended comes later', () => {
  const toast = toasts.say('info', 'Stopping web:alice');
  toasts.clear();
  toasts.change(toast, 'bad', 'web:alice was not stopped');
  expect(texts()).toEqual([]);
});
