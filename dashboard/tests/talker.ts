// A daemon whose instances print what a test has them print, and the page of logs as a test reads it.
import { request } from 'node:http';
import { fileURLToPath } from 'node:url';
import type { Page } from '@playwright/test';
import { type Daemon, expect, withDaemon } from './fixtures';

const APP = fileURLToPath(new URL('./apps/talker.py', import.meta.url));
const CONFIG = `[settings]
domain = "localhost"

[service.talker]
command = "python3 ${APP}"

[service.quiet]
command = "python3 ${APP}"

[instances]
quiet = ["one"]
`;

export const test = withDaemon(CONFIG);

/** Has an instance print exactly this. */
export function say(ten: Daemon, id: string, text: string | Buffer, service = 'talker'): Promise<void> {
  return new Promise((resolve, reject) => {
    const body = Buffer.from(text);
    const headers = { Host: `${id}.${service}.localhost:${ten.port}`, 'Content-Length': body.length };
    const sent = request(
      { host: '127.0.0.1', port: ten.port, path: '/say', method: 'POST', headers },
      (answer) => {
        answer.resume().on('end', () => resolve());
      },
    );
    sent.on('error', reject).end(body);
  });
}

/** What follows a scroll is drawn: the browser tells of it in its next frame, and heights are measured in that one. */
export function isSettled(page: Page): Promise<void> {
  return page.evaluate(
    () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve()))),
  );
}

export const list = (page: Page) => page.getByRole('log');
export const rows = (page: Page) => list(page).getByRole('listitem');
export const search = (page: Page) => page.locator('input[data-search]');

/** What is loaded, by the button that copies it. */
async function loaded(page: Page): Promise<string[]> {
  const copied = (): Promise<string> => page.evaluate(() => navigator.clipboard.readText());
  // What is copied now, not what was before.
  await page.evaluate(() => navigator.clipboard.writeText(''));
  await page.getByRole('button', { name: 'Copy all lines that are loaded' }).click();
  await expect(page.getByText('All lines that are loaded are copied').last()).toBeVisible();
  await expect.poll(copied).not.toBe('');
  return (await copied()).trimEnd().split('\n');
}

/** The numbers of `count N` or `run N`, which are to follow each other without a gap. */
export async function numbers(page: Page): Promise<number[]> {
  return (await loaded(page)).flatMap((line) => /(?:count|run) (\d+)$/.exec(line)?.[1] ?? []).map(Number);
}

export function withoutGap(found: number[]): void {
  const wrong = found.findIndex((n, i) => i > 0 && n !== found[i - 1] + 1);
  expect(wrong < 0 ? 'no gap' : `${found[wrong - 1]} is followed by ${found[wrong]}`).toBe('no gap');
}
