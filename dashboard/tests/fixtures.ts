// What every spec has: a daemon for each worker (`ten`), a page whose faults fail the test, and ways to sign in and look.
//
//   import { expect, test } from './fixtures';
//   test('…', async ({ page, ten, enter }) => { await enter('/services'); … });
import { AxeBuilder } from '@axe-core/playwright';
import { test as base, expect, type Page } from '@playwright/test';
import { Daemon } from './daemon';
import { Front } from './front';

export { expect } from '@playwright/test';
export { Daemon, until, CONFIG } from './daemon';

type Worker = { ten: Daemon; front: Front };
type Own = {
  /** Signs in and goes to a page, as `/instances/web/alice`; with the admin's token if none is given. */
  enter: (path?: string, token?: string) => Promise<void>;
  /** Fails the test for what the browser's console says of faults and refused policies. */
  quiet: { allow: RegExp[] };
};

export const test = base.extend<Own, Worker>({
  ten: [
    async ({}, use) => {
      const ten = await Daemon.start();
      try {
        await use(ten);
      } finally {
        await ten.stop();
      }
    },
    { scope: 'worker', timeout: 90_000 },
  ],
  front: [
    async ({ ten }, use) => {
      const front = await Front.before(ten);
      await use(front);
      await front.close();
    },
    { scope: 'worker' },
  ],
  quiet: [
    async ({ page }, use) => {
      const allow: RegExp[] = [];
      const faults: string[] = [];
      page.on('pageerror', (error) => faults.push(String(error)));
      page.on('console', (message) => {
        // A refused request is said there too; tests make those on purpose.
        const text = message.text();
        if (message.type() === 'error' && !/^(Failed to load resource|WebSocket connection to)/.test(text))
          faults.push(text);
      });
      await use({ allow });
      expect(faults.filter((fault) => !allow.some((pattern) => pattern.test(fault)))).toEqual([]);
    },
    { auto: true },
  ],
  enter: async ({ page, ten, front }, use) => {
    await use(async (path = '/', token = ten.token) => {
      await signIn(page, front.url, token);
      if (path !== '/') await go(page, path);
    });
  },
});

/** The same with a daemon that has another configuration. */
export const withDaemon = (config: string) =>
  test.extend<object, { ten: Daemon }>({
    ten: [
      async ({}, use) => {
        const ten = await Daemon.start(config);
        try {
          await use(ten);
        } finally {
          await ten.stop();
        }
      },
      { scope: 'worker', timeout: 90_000 },
    ],
  });

/** As where somebody on the way lets no WebSocket pass; for tests, too, that make up what a stream says. */
export async function withoutSockets(page: Page): Promise<void> {
  await page.addInitScript(() => Reflect.deleteProperty(window, 'WebSocket'));
}

/** By the form, as people do. */
export async function signIn(page: Page, url: string, token: string): Promise<void> {
  await page.goto(url);
  await page.getByLabel('Token', { exact: true }).fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('navigation', { name: 'Pages' })).toBeVisible();
  await isDrawn(page);
}

/** Another page of the same document: what was typed to sign in stays. It is there, or cannot be, when this returns. */
export async function go(page: Page, path: string): Promise<void> {
  await page.evaluate(async (hash) => {
    if (location.hash === hash) return;
    const changed = new Promise((resolve) => addEventListener('hashchange', () => setTimeout(resolve)));
    location.hash = hash;
    await changed;
  }, `#${path}`);
  await isDrawn(page);
}

/** The page of the address is there, or cannot be: not the one before it. */
export async function isDrawn(page: Page): Promise<void> {
  await expect(page.locator('#content[aria-busy=true]')).toHaveCount(0);
}

/** What the browser would tell the page: that somebody sees it, or nobody. */
export async function see(page: Page, seen: boolean): Promise<void> {
  await page.evaluate((visible) => {
    const set = (name: string, value: unknown): void => {
      Object.defineProperty(document, name, { configurable: true, get: () => value });
    };
    set('visibilityState', visible ? 'visible' : 'hidden');
    set('hidden', !visible);
    document.dispatchEvent(new Event('visibilitychange'));
  }, seen);
}

/** Nothing serious by axe, in light and in dark, and nothing cut away in a small window. */
export async function isFitForAll(page: Page): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    const { violations } = await new AxeBuilder({ page }).analyze();
    const grave = violations.filter((one) => one.impact === 'serious' || one.impact === 'critical');
    expect(
      grave.map((one) => `${colorScheme}: ${one.id}: ${one.nodes.map((node) => node.html).join('\n')}`),
    ).toEqual([]);
  }
  const before = page.viewportSize();
  // A small phone; the narrowest that is none, with a narrow rail and with a wide one.
  for (const width of [320, 720, 1024]) {
    await page.setViewportSize({ width, height: 640 });
    await expect.poll(() => tooWide(page)).toEqual([]);
  }
  if (before !== null) await page.setViewportSize(before);
}

/** What stands out of the window at the right, without a box of its own that scrolls; also what a box cuts away, if one acts by it. */
export function tooWide(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const scrolls = (element: Element | null): boolean => {
      for (
        let at = element;
        at !== null && !at.matches('#content, dialog, dialog > div > .body');
        at = at.parentElement
      ) {
        if (['auto', 'scroll', 'hidden'].includes(getComputedStyle(at).overflowX)) return true;
      }
      return false;
    };
    const isCut = (element: Element): boolean => {
      const { right } = element.getBoundingClientRect();
      for (let at = element.parentElement; at !== null; at = at.parentElement) {
        const { contain, overflowX } = getComputedStyle(at);
        if (['auto', 'scroll'].includes(overflowX)) return false;
        const cuts = overflowX !== 'visible' || /strict|content|paint/.test(contain);
        if (cuts && right > at.getBoundingClientRect().right + 0.5) return true;
      }
      return false;
    };
    const inside = [...document.querySelectorAll('#content *, dialog[open], dialog[open] *')];
    const stands = (one: Element): boolean =>
      one.getBoundingClientRect().right > window.innerWidth + 0.5 && !scrolls(one.parentElement);
    return (inside.length > 0 ? inside : [...document.querySelectorAll('*')])
      .filter((one) => getComputedStyle(one).position !== 'absolute')
      .filter((one) => stands(one) || (one.matches('button, input, select, textarea') && isCut(one)))
      .map((one) => one.outerHTML.slice(0, 160));
  });
}
