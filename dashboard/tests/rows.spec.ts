// Rows of a long table are shown by elements that are used again: neither focus nor a click may pass to another row by that.
import type { Page } from '@playwright/test';
import { expect, go, signIn, withDaemon } from './fixtures';

const COUNT = 400;
const ids = Array.from({ length: COUNT }, (_, n) => `n${String(n).padStart(3, '0')}`);
const CONFIG = `[settings]
[service.rest]
command = "sleep 1000000"
autostart = false

[instances]
rest = [${ids.map((id) => `"${id}"`).join(', ')}]
`;

const test = withDaemon(CONFIG);

/** The rows that are in the page, from above to below, with the names they show. */
const rowsOf = (page: Page): Promise<{ index: number; name: string; tagged: boolean }[]> =>
  page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>('[data-row]')].map((link) => ({
      index: Number(link.dataset.row),
      name: link.textContent.trim(),
      tagged: link.dataset.tagged !== undefined,
    })),
  );

/** Scrolls, and waits until that has come to its end: a browser takes its time for it. */
async function far(page: Page, by: number): Promise<void> {
  const main = page.locator('main');
  const top = (): Promise<number> => main.evaluate((one) => one.scrollTop);
  const first = (await rowsOf(page))[0].index;
  const before = await top();
  await page.mouse.move(600, 500);
  await page.mouse.wheel(0, by);
  await expect.poll(async () => Math.abs((await top()) - before - by)).toBeLessThan(1);
  await expect.poll(async () => Math.abs((await rowsOf(page))[0].index - first)).toBeGreaterThan(20);
}

test.beforeEach(async ({ page, ten, front }) => {
  await signIn(page, front.url, ten.token);
  await go(page, '/');
  await expect(page.locator('[data-row="0"]')).toBeVisible();
});

test('rows that come into sight take the elements of those that left it, each in its place', async ({
  page,
}) => {
  await page.evaluate(() => {
    for (const link of document.querySelectorAll<HTMLElement>('[data-row]')) link.dataset.tagged = '';
  });
  const tagged = (await rowsOf(page)).length;
  for (const by of [6000, 3000, -5000]) {
    await far(page, by);
    const rows = await rowsOf(page);
    for (const [place, row] of rows.entries()) {
      expect(row.index).toBe(rows[0].index + place);
      expect(row.name).toBe(`rest:${ids[row.index]}`);
    }
    expect(rows.filter((row) => row.tagged).length).toBeGreaterThanOrEqual(tagged - 1);
  }
});

test('who went to an instance by keys is at its row again when they come back', async ({ page }) => {
  for (let n = 0; n < 60; n++) await page.keyboard.press('j');
  const row = page.locator('[data-row="59"]');
  await expect(row).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('rest:n059');
  await page.goBack();
  await expect(row).toBeFocused();
  await page.keyboard.press('j');
  await expect(page.locator('[data-row="60"]')).toBeFocused();
});

test('the focus goes to no other row, and the keys go on from it, or from what is seen', async ({ page }) => {
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await expect(page.locator('[data-row="1"]')).toBeFocused();
  await far(page, 6000);
  await expect(page.locator('[data-row]:focus')).toHaveCount(0);
  const main = page.locator('main');
  const before = await main.evaluate((one) => one.scrollTop);
  await page.keyboard.press('j');
  await expect(page.locator('[data-row]:focus')).toHaveCount(1);
  const first = Number(await page.locator('[data-row]:focus').getAttribute('data-row'));
  expect(first).toBeGreaterThan(100);
  // It was in sight, below the head.
  expect(await main.evaluate((one) => one.scrollTop)).toBe(before);
  await page.keyboard.press('j');
  await expect(page.locator(`[data-row="${first + 1}"]`)).toBeFocused();
  await page.keyboard.press('k');
  await expect(page.locator(`[data-row="${first}"]`)).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(`rest:${ids[first]}`);
});

test('who goes back finds the place they left, who goes on begins at the top', async ({ page }) => {
  await far(page, 6000);
  const before = (await rowsOf(page))[0].index;
  await page.locator('[data-row="190"]').click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('rest:n190');
  await page.goBack();
  await expect.poll(async () => (await rowsOf(page))[0]?.index).toBe(before);
  await page.locator('[data-row="190"]').click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('rest:n190');
  await page.getByRole('link', { name: 'Overview', exact: true }).click();
  await expect(page.locator('[data-row="0"]')).toBeVisible();
});

test('what is pressed keeps its place until the click', async ({ page, ten }) => {
  const button = page.getByRole('button', { name: 'Start rest:n001' });
  const { x, y, width, height } = (await button.boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
  await page.clock.install();
  await page.mouse.move(x + width / 2, y + height / 2);
  await page.mouse.down();
  await ten.api('DELETE', '/api/instances/rest/n000?purge=true');
  // Until the browser knows of it; the hand is not quite still.
  let step = 0;
  await expect
    .poll(async () => {
      await page.mouse.move(x + width / 2 + (step++ % 2), y + height / 2);
      return page.getByRole('group', { name: 'Totals' }).innerText();
    })
    .toContain('399');
  // However long: a hand that is only near holds them for 3 s.
  await page.clock.runFor(5000);
  await ten.api('DELETE', '/api/instances/rest/n399?purge=true');
  await expect(page.getByRole('group', { name: 'Totals' })).toContainText('398');
  const asked = page.waitForRequest((request) => request.method() === 'POST');
  await page.mouse.up();
  expect(new URL((await asked).url()).pathname).toContain('/rest/n001');
});

test('who comes back from an instance finds the place they left, before anything is told', async ({
  page,
}) => {
  const main = page.locator('main');
  const top = (): Promise<number> => main.evaluate((one) => one.scrollTop);
  await far(page, 4000);
  const place = await top();
  const rows = await rowsOf(page);
  const { name, index } = rows[rows.length >> 1];
  await page.locator(`[data-row="${index}"]`).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(name);
  await expect(page.getByRole('region', { name: 'State' })).toContainText('sleeping');
  await page.evaluate(() => Reflect.deleteProperty(window, 'WebSocket'));
  await page.route('**/api/overview?follow=*', () => {});
  const asked = page.waitForRequest('**/api/overview?follow=*', { timeout: 15_000 });
  await page.goBack();
  await asked;
  await expect(page.locator(`[data-row="${index}"]`)).toHaveText(name);
  await expect.poll(top).toBe(place);
});

test('a menu that swallows the end of a press holds no rows', async ({ page, ten }) => {
  const first = page.locator('[data-row="0"]');
  const { x, y } = (await first.boundingBox()) ?? { x: 0, y: 0 };
  const gone = (await first.textContent())!.trim();
  await page.mouse.move(x + 2, y + 4);
  // That of a mouse, and that of a finger or of a key with the button, whose end is not told.
  await page.mouse.down({ button: 'right' });
  await ten.api('DELETE', `/api/instances/${gone.replace(':', '/')}?purge=true`);
  await expect(first).not.toHaveText(gone);
  await page.mouse.up({ button: 'right' });
});
