import { expect, go, signIn, test } from './fixtures';

test('a token that is right leads to the pages, and is in no address', async ({ page, enter }) => {
  await enter('/services');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Services');
  expect(page.url()).not.toContain('tenement_of');
});

test('a small phone has the card in its middle', async ({ page, front }) => {
  await page.setViewportSize({ width: 320, height: 640 });
  await page.goto(front.url);
  const { x, width } = (await page.locator('.card').boundingBox()) ?? { x: 0, width: 0 };
  expect([x, 320 - x - width]).toEqual([16, 16]);
});

test('whoever signs out leaves nothing behind for the next one', async ({ page, ten, front, enter }) => {
  await ten.becomes('web', 'alice', 'running');
  await enter('/instances/web/bob');
  await expect(page.getByRole('region', { name: 'State' })).toContainText('running');
  await page.keyboard.press('x');
  await expect(page.getByRole('dialog', { name: 'Stop web:bob?' })).toBeVisible();
  // As another tab would, or the end of the token: the question is still open.
  await page.evaluate(() => document.querySelector<HTMLButtonElement>('[aria-label="Sign out"]')?.click());
  await expect(page.getByLabel('Token', { exact: true })).toBeVisible();
  await expect(page.getByRole('dialog')).toHaveCount(0);
  expect(await page.evaluate(() => sessionStorage.length)).toBe(0);
  await signIn(page, front.url, await ten.newToken(['read'], { instance: 'web:alice' }));
  await go(page, '/');
  const table = page.getByRole('table', { name: 'Instances' });
  await expect(table).toContainText('alice');
  await expect(page.locator('body')).not.toContainText('bob');
  await expect(page.getByRole('link', { name: 'Config', exact: true })).toHaveCount(0);
});
