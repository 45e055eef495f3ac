import { expect, isFitForAll, signIn, test } from './fixtures';

test('a token is made, shown once, works, and is revoked', async ({ page, ten, front, enter, browser }) => {
  await enter('/tokens');
  await page.getByRole('button', { name: 'New token' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill('for bob');
  await dialog.getByLabel('It sees only').fill('web:bob');
  await isFitForAll(page);
  await dialog.getByRole('button', { name: 'Make it' }).click();
  await expect(dialog).toContainText('shown this once');
  const text = (await dialog.locator('.secret code').textContent()) ?? '';
  expect(text).toMatch(/^tenement_/);
  await isFitForAll(page);
  await expect(dialog.getByRole('button', { name: 'Copy' })).toBeFocused();
  // Twice: browsers let a dialog refuse only the first.
  await page.keyboard.press('Escape');
  await page.keyboard.press('Escape');
  await page.mouse.click(5, 5);
  await expect(dialog).toContainText(text);
  await dialog.getByRole('button', { name: 'I have it' }).click();
  await expect(page.locator('body')).not.toContainText(text);
  await expect(page.getByRole('button', { name: 'New token' })).toBeFocused();
  const row = page.getByRole('row').filter({ hasText: 'for bob' });
  await expect(row).toContainText('web:bob');
  await expect(row).toContainText('never');

  const other = await browser.newPage();
  await signIn(other, front.url, text);
  await other.close();

  await row.getByRole('button', { name: 'Revoke for bob' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
  await expect(row).toHaveCount(0);
  await expect(ten.api('GET', '/api/session', undefined, text)).rejects.toThrow('401');
});

test('it is fit for all', async ({ page, enter }) => {
  await enter('/tokens');
  await expect(page.getByRole('table', { name: 'Tokens' })).toContainText('first');
  await isFitForAll(page);
});
