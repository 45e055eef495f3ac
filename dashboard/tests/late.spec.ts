// Answers that come when nobody waits for them any more.
import type { Page } from '@playwright/test';
import { expect, go, isDrawn, test as plain } from './fixtures';
import { isSettled, list, rows, say, search, test } from './talker';

/** Holds requests of an address back until what it returns is called. */
async function hold(page: Page, url: RegExp): Promise<() => void> {
  let release = (): void => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route(url, async (route) => {
    await released;
    await route.continue().catch(() => {});
  });
  return release;
}

test('older lines of the search before come into none that was made meanwhile', async ({
  page,
  ten,
  enter,
}) => {
  await ten.spawn('talker', 'before');
  await ten.visit('talker', 'before', '/count?n=600');
  await say(ten, 'before', 'a needle\n');
  await enter('/logs?instance=talker:before');
  await expect(rows(page).last()).toContainText('a needle');
  const found = await hold(page, /\/api\/logs\/search$/);
  const older = await hold(page, /\/api\/logs\?.*limit=500/);
  const searched = page.waitForRequest(/\/api\/logs\/search$/);
  await search(page).fill('needle');
  await searched;
  const asked = page.waitForRequest(/limit=500/);
  await list(page).evaluate((one) => (one.scrollTop = 0));
  await asked;
  found();
  await expect(rows(page)).toHaveCount(1);
  const answered = page.waitForResponse(/limit=500/);
  older();
  await (await answered).finished();
  await isSettled(page);
  await expect(rows(page)).toHaveCount(1);
});

test('lines around one that was left come to no other', async ({ page, ten, enter }) => {
  await ten.spawn('talker', 'around');
  await ten.visit('talker', 'around', '/count?n=300');
  await enter('/logs?line=talker:around:20');
  await expect(list(page).locator('.target')).toContainText('count 20');
  const come = await hold(page, /context_after=100/);
  const is = (one: { url: () => string }): boolean => one.url().includes('context_after=100');
  const asked = page.waitForRequest(is);
  const ended = Promise.race([
    page.waitForEvent('requestfinished', is),
    page.waitForEvent('requestfailed', is),
  ]);
  await page.getByRole('button', { name: '100 later lines' }).click();
  await asked;
  await go(page, '/logs?line=talker:around:200');
  await expect(list(page).locator('.target')).toContainText('count 200');
  come();
  await ended;
  await isSettled(page);
  await list(page).evaluate((one) => (one.scrollTop = one.scrollHeight));
  await expect(rows(page).last()).toContainText('count 250');
});

plain('who goes back finds the place they left, however late its rows come', async ({ page, ten, enter }) => {
  for (let i = 0; i < 55; i++) await ten.api('POST', '/api/instances/web/nobody/stop').catch(() => {});
  await enter('/audit');
  const main = page.locator('main');
  const rows = page.getByRole('table', { name: 'Who changed what, the newest first' }).getByRole('row');
  const top = (): Promise<number> => main.evaluate((one) => one.scrollTop);
  /** Longer than a page takes that has what it shows. */
  const frames = (): Promise<void> =>
    page.evaluate(async () => {
      for (let n = 0; n < 100; n++) await new Promise(requestAnimationFrame);
    });
  const leave = async (): Promise<number> => {
    await expect(rows).toHaveCount(51);
    const link = rows.nth(40).getByRole('link');
    await link.scrollIntoViewIfNeeded();
    const place = await top();
    expect(place).toBeGreaterThan(300);
    await link.click();
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('web:nobody');
    return place;
  };
  const skeleton = main.getByRole('status', { name: 'Loading' });
  const back = async (): Promise<() => void> => {
    const come = await hold(page, /\/api\/audit/);
    await page.goBack();
    await expect(skeleton).toBeVisible();
    await frames();
    return come;
  };
  const place = await leave();
  (await back())();
  await expect.poll(top).toBe(place);
  // Who reads on meanwhile is not taken away from there.
  await leave();
  const come = await back();
  await page.keyboard.press('Shift');
  come();
  await expect(rows).toHaveCount(51);
  await frames();
  expect(await top()).toBe(0);
});

plain('who closed the dialog of a spawn is taken nowhere by its answer', async ({ page, ten, enter }) => {
  await enter('/services/web?spawn=late');
  const dialog = page.getByRole('dialog', { name: 'Spawn an instance' });
  const come = await hold(page, /\/api\/instances\?wait=false/);
  await dialog.getByRole('button', { name: 'Spawn', exact: true }).click();
  await expect(dialog.getByRole('button', { name: 'Spawning…' })).toBeVisible();
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await expect(dialog).toHaveCount(0);
  come();
  await expect(page.getByText('web:late is being started')).toBeVisible();
  await isDrawn(page);
  expect(new URL(page.url()).hash).toBe('#/services/web');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Services');
  await ten.api('DELETE', '/api/instances/web/late?purge=true');
});
