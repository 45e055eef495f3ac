// Takes docs/screenshots/*.png of every page. The traffic goes on meanwhile, so that all is live.
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Page } from '@playwright/test';
import { Daemon, expect, go, signIn, test as base, until } from '../tests/fixtures';
import { CHANGED, CONFIG, FILES, prepare, traffic } from './demo';

const FOLDER = fileURLToPath(new URL('../../docs/screenshots/', import.meta.url));
/** Seconds of traffic before the first picture; plots want some. */
const BEFORE = Number(process.env.BEFORE ?? '60');

const test = base.extend<object, { ten: Daemon }>({
  ten: [
    async ({}, use) => {
      const ten = await Daemon.start(CONFIG, FILES);
      const end = traffic(ten);
      try {
        await prepare(ten);
        await new Promise((resolve) => setTimeout(resolve, BEFORE * 1000));
        await use(ten);
      } finally {
        await end();
        await ten.stop();
      }
    },
    { scope: 'worker', timeout: 300_000 },
  ],
});

test.beforeAll(() => mkdirSync(FOLDER, { recursive: true }));

async function take(page: Page, name: string): Promise<void> {
  await page.evaluate(() => document.fonts.ready);
  await page.mouse.move(0, 0);
  await page.screenshot({ path: `${FOLDER}${name}.png`, animations: 'disabled', caret: 'hide' });
}

test('all pages', async ({ page, ten, front, browser }) => {
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
  await page.goto(front.url);
  await expect(page.getByRole('button', { name: 'Sign in' })).toBeVisible();
  await take(page, 'signin');
  await signIn(page, front.url, ten.token);

  const failed = page.getByRole('row').filter({ hasText: 'preview:pr-412' });
  await go(page, '/?sort=status');
  await expect(failed).toContainText('failed');
  // The sparklines of the machine are drawn while one looks.
  await page.waitForTimeout(BEFORE * 500);
  await take(page, 'overview');
  await page.emulateMedia({ colorScheme: 'dark' });
  await take(page, 'overview-dark');
  await page.emulateMedia({ colorScheme: 'light' });
  const phone = await browser.newContext({
    viewport: { width: 390, height: 844 },
    isMobile: true,
    hasTouch: true,
    colorScheme: 'light',
  });
  const small = await phone.newPage();
  await signIn(small, front.url, ten.token);
  await go(small, '/?sort=requests&down=1');
  await expect(small.getByRole('link', { name: 'shop:acme' })).toBeVisible();
  await small.waitForTimeout(9000);
  await take(small, 'overview-phone');
  await phone.close();
  await go(page, '/?sort=status&status=sleeping,stopped,failed');
  await expect(failed).toContainText('failed');
  await take(page, 'overview-filtered');

  await go(page, '/instances/shop/acme');
  await expect(page.locator('.u-over')).toHaveCount(4);
  await expect(page.getByRole('log', { name: 'Its log' })).toContainText('GET');
  await take(page, 'instance');

  await go(page, '/logs');
  await expect(page.getByRole('log')).toContainText('GET');
  await page.waitForTimeout(2000);
  await take(page, 'logs');

  await go(page, '/services/shop');
  await expect(page.getByRole('table', { name: 'Configuration of shop' })).toBeVisible();
  await take(page, 'services');

  await go(page, '/config');
  await page.getByLabel('tenement.toml').fill(CHANGED);
  await expect(page.getByText(/instances? restarted/)).toBeVisible();
  await page.getByLabel('tenement.toml').evaluate((area) => {
    area.blur();
    area.scrollTop = 0;
  });
  await take(page, 'config');
  await page.getByRole('button', { name: 'Revert' }).click();

  for (const [name, path] of [
    ['tokens', '/tokens'],
    ['events', '/events'],
    ['audit', '/audit'],
    ['host', '/host'],
  ]) {
    await go(page, path);
    await expect(page.locator('main .panel').first()).toBeVisible();
    await until(async () => (await page.locator('main .skeleton, main [aria-busy=true]').count()) === 0);
    await take(page, name);
  }
});
