import { readFileSync } from 'node:fs';
import { CONFIG, expect, go, isFitForAll, test } from './fixtures';

test.beforeEach(async ({ ten }) => {
  ten.writeConfig(CONFIG);
  await ten.api('POST', '/api/reload');
  await ten.becomes('web', 'alice', 'running');
  await ten.becomes('web', 'bob', 'running');
});

test('errors are shown at their lines while one types, and lead there', async ({ page, enter }) => {
  await enter('/config');
  const editor = page.getByLabel('tenement.toml');
  await expect(editor).toHaveValue(CONFIG);
  await expect(page.getByText('a reload would change nothing')).toBeVisible();
  await editor.fill(CONFIG.replace('health = "/health"', 'health = 5'));
  const findings = page.getByRole('list', { name: 'What is wrong' });
  await expect(findings.getByRole('button')).toHaveCount(1);
  const line = CONFIG.split('\n').indexOf('health = "/health"') + 1;
  await expect(findings).toContainText(`Line ${line}`);
  await expect(editor).toHaveAttribute('aria-invalid', 'true');
  await expect(page.getByRole('button', { name: 'Save', exact: true })).toBeDisabled();
  await findings.getByRole('button').click();
  await expect(editor).toBeFocused();
  const caret = await editor.evaluate((area) => (area as HTMLTextAreaElement).selectionStart);
  expect(CONFIG.slice(0, caret).split('\n')).toHaveLength(line);
  // Tab is not trapped in the editor.
  await page.keyboard.press('Tab');
  await expect(editor).not.toBeFocused();
  await page.getByRole('button', { name: 'Revert' }).click();
  await expect(editor).toHaveValue(CONFIG);
});

test('a change is planned, shown, saved and put in force', async ({ page, ten, enter }) => {
  await enter('/config');
  const editor = page.getByLabel('tenement.toml');
  await expect(editor).toHaveValue(CONFIG);
  const changed = CONFIG.replace('GREETING = "hello"', 'GREETING = "changed"');
  await editor.fill(changed);
  const says = page.getByRole('region', { name: 'What the daemon says of it' });
  await expect(says).toContainText('2 instances restarted');
  await expect(says).toContainText('env.GREETING');
  await page.getByRole('tab', { name: 'Difference to the file' }).click();
  await expect(says).toContainText('GREETING = "changed"');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await expect(page.getByText('saved, not in force')).toBeVisible();
  expect(readFileSync(ten.config, 'utf8')).toBe(changed);
  expect((await ten.visit('web', 'alice')).body).toContain('hello');
  await page.getByRole('button', { name: 'Reload…' }).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog).toContainText('web:alice');
  await dialog.getByRole('button', { name: 'Reload, and restart 2 instances' }).click();
  await expect(page.getByText('The configuration is in force')).toBeVisible();
  await expect.poll(async () => (await ten.visit('web', 'alice')).body).toContain('changed');
});

test('of a large difference the first lines are shown, and all when asked for', async ({ page, enter }) => {
  await enter('/config');
  const editor = page.getByLabel('tenement.toml');
  await expect(editor).toHaveValue(CONFIG);
  await editor.fill(`${CONFIG}${'# more\n'.repeat(900)}`);
  await page.getByRole('tab', { name: 'Difference to the file' }).click();
  const lines = page.locator('.diff .line');
  await expect(lines).toHaveCount(500);
  await page.getByRole('button', { name: /^Show the other 40\d lines/ }).click();
  await expect(page.locator('.diff .line.added')).toHaveCount(900);
});

test('the whole page is printed', async ({ page, enter }) => {
  await enter('/config?view=force');
  await expect(page.getByRole('table').first()).toBeVisible();
  await page.emulateMedia({ media: 'print' });
  await expect(page.getByRole('navigation', { name: 'Pages' })).toBeHidden();
  const [shown, whole] = await page
    .locator('main')
    .evaluate((main) => [main.clientHeight, main.scrollHeight]);
  expect(shown).toBeGreaterThanOrEqual(whole);
});

test('what somebody else wrote meanwhile is not written over unseen', async ({ page, ten, enter }) => {
  await enter('/config');
  const editor = page.getByLabel('tenement.toml');
  await expect(editor).toHaveValue(CONFIG);
  const mine = CONFIG.replace('max_restarts = 6', 'max_restarts = 7');
  const theirs = CONFIG.replace('max_restarts = 6', 'max_restarts = 8');
  await editor.fill(mine);
  ten.writeConfig(theirs);
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  const dialog = page.getByRole('dialog', { name: 'The file was changed meanwhile' });
  await expect(dialog).toContainText('max_restarts = 8');
  await isFitForAll(page);
  await dialog.getByRole('button', { name: 'Go on with mine, over theirs' }).click();
  expect(readFileSync(ten.config, 'utf8')).toBe(theirs);
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await expect(page.getByText('The file is saved')).toBeVisible();
  expect(readFileSync(ten.config, 'utf8')).toBe(mine);
});

test('what was edited is still there after a look at another page', async ({ page, enter }) => {
  await enter('/config');
  const editor = page.getByLabel('tenement.toml');
  await expect(editor).toHaveValue(CONFIG);
  await editor.fill(`${CONFIG}# a note\n`);
  await go(page, '/services');
  await expect(editor).toBeHidden();
  await page.getByRole('link', { name: 'Config', exact: true }).click();
  await expect(editor).toHaveValue(`${CONFIG}# a note\n`);
  await page.getByRole('button', { name: 'Revert' }).click();
});

test('what is typed while an answer is under way stays', async ({ page, enter }) => {
  await enter('/config');
  const editor = page.getByLabel('tenement.toml');
  await expect(editor).toHaveValue(CONFIG);
  await go(page, '/services');
  let answer = (): void => {};
  const held = new Promise<void>((resolve) => (answer = resolve));
  await page.route('**/api/config/file', async (route) => {
    await held;
    await route.continue();
  });
  const answered = page.waitForResponse('**/api/config/file');
  await page.getByRole('link', { name: 'Config', exact: true }).click();
  await editor.fill(`${CONFIG}# typed meanwhile\n`);
  answer();
  await answered;
  await expect(page.getByText('a reload would change nothing')).toBeVisible();
  await expect(editor).toHaveValue(`${CONFIG}# typed meanwhile\n`);
});

test('what was written after the plan was shown is not put in force unseen', async ({ page, ten, enter }) => {
  await enter('/config');
  await expect(page.getByLabel('tenement.toml')).toHaveValue(CONFIG);
  ten.writeConfig(CONFIG.replace('GREETING = "hello"', 'GREETING = "planned"'));
  await page.getByRole('tab', { name: 'In force' }).click();
  await page.getByRole('tab', { name: 'File', exact: true }).click();
  await page.getByRole('button', { name: 'Reload…' }).click();
  const dialog = page.getByRole('dialog', { name: 'Put in force?' });
  await expect(dialog).toContainText('env.GREETING');
  ten.writeConfig(CONFIG.replace('GREETING = "hello"', 'GREETING = "unseen"'));
  await dialog.getByRole('button', { name: /^Reload/ }).click();
  await expect(page.getByRole('dialog', { name: 'The file was changed meanwhile' })).toContainText('unseen');
  expect((await ten.visit('web', 'alice')).body).toContain('hello');
});

test('what was edited and not saved is lost by nobody who does not want it', async ({ page, enter }) => {
  await enter('/config');
  const editor = page.getByLabel('tenement.toml');
  await expect(editor).toHaveValue(CONFIG);
  await editor.fill(`${CONFIG}# a note\n`);
  await page.getByRole('link', { name: 'Services', exact: true }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  const dialog = page.getByRole('dialog', { name: 'Leave what is not saved?' });
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Services');
  const asked = page.waitForEvent('dialog');
  await page.close({ runBeforeUnload: true });
  expect((await asked).type()).toBe('beforeunload');
  await (await asked).dismiss();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await dialog.getByRole('button', { name: 'Drop it' }).click();
  await expect(page.getByLabel('Token', { exact: true })).toBeVisible();
});

test('lines end in the file as they did', async ({ page, ten, enter }) => {
  const crlf = CONFIG.replaceAll('\n', '\r\n');
  ten.writeConfig(crlf);
  await enter('/config');
  const editor = page.getByLabel('tenement.toml');
  await expect(editor).toHaveValue(CONFIG);
  await editor.focus();
  await page.keyboard.press('ControlOrMeta+End');
  await page.keyboard.type('#');
  await expect(page.getByText('not saved')).toBeVisible();
  await page.keyboard.press('Backspace');
  await expect(page.getByText('not saved')).toHaveCount(0);
  await page.keyboard.type('# more');
  await page.getByRole('tab', { name: 'Difference to the file' }).click();
  await expect(page.locator('.diff .line.added')).toHaveCount(1);
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await expect(page.getByText('The file is saved')).toBeVisible();
  expect(readFileSync(ten.config, 'utf8')).toBe(`${crlf}# more`);
});

test('that lines will end alike is said, and not done where nothing was edited', async ({
  page,
  ten,
  enter,
}) => {
  ten.writeConfig(CONFIG.replace('\n', '\r\n'));
  await enter('/config');
  const editor = page.getByLabel('tenement.toml');
  await expect(editor).toHaveValue(CONFIG);
  await expect(page.getByText('not saved')).toHaveCount(0);
  await editor.fill(`${CONFIG}# more`);
  await expect(page.getByText('all end with LF')).toBeVisible();
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await expect(page.getByText('The file is saved')).toBeVisible();
  expect(readFileSync(ten.config, 'utf8')).toBe(`${CONFIG}# more`);
});

test('what could not be checked is checked when the daemon is back', async ({ page, enter }) => {
  await page.clock.install();
  await enter('/config');
  const editor = page.getByLabel('tenement.toml');
  await expect(editor).toHaveValue(CONFIG);
  await expect(page.getByText('a reload would change nothing')).toBeVisible();
  await page.route('**/api/config/plan', (route) => route.abort());
  await editor.fill(`${CONFIG}# more`);
  await expect(page.getByRole('alert')).toContainText('It could not be checked');
  await expect(page.getByRole('button', { name: 'Save', exact: true })).toBeDisabled();
  // Who has left asks no more, and who is back is told.
  await go(page, '/services');
  let asked = 0;
  page.on('request', (one) => (asked += one.url().includes('/config/') ? 1 : 0));
  await page.clock.runFor(30_000);
  await page.evaluate(() => fetch('/health'));
  expect(asked).toBe(0);
  await page.getByRole('link', { name: 'Config', exact: true }).click();
  await expect(page.getByRole('alert')).toContainText('It could not be checked');
  await page.unrouteAll();
  await expect(page.getByRole('button', { name: 'Save', exact: true })).toBeEnabled();
  await page.getByRole('button', { name: 'Revert' }).click();
});

test('the configuration in force hides secrets', async ({ page, enter }) => {
  await enter('/config?view=force');
  const web = page.getByRole('table', { name: '[service.web]' });
  await expect(web).toContainText('env.API_SECRET');
  await expect(web).toContainText('*** hidden');
  await expect(page.locator('body')).not.toContainText('do-not-show-me');
});

test('who may not see it has no such page', async ({ page, ten, enter }) => {
  await enter('/config', await ten.newToken(['write']));
  await expect(page.getByRole('heading', { name: 'There is nothing here' })).toBeVisible();
});

test('it is fit for all', async ({ page, enter }) => {
  await enter('/config');
  const editor = page.getByLabel('tenement.toml');
  await expect(editor).toHaveValue(CONFIG);
  await isFitForAll(page);
  await editor.fill(CONFIG.replace('health = "/health"', 'health = 5'));
  await expect(page.getByRole('list', { name: 'What is wrong' })).toBeVisible();
  await isFitForAll(page);
  await editor.fill(CONFIG.replace('TICK = 0.5', 'TICK = 1.5'));
  await page.getByRole('button', { name: 'Save and reload…' }).click();
  await isFitForAll(page);
});
