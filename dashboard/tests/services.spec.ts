import { CONFIG, expect, go, isFitForAll, test } from './fixtures';

test('services with their counts, which follow what happens', async ({ page, ten, enter }) => {
  const count = async (): Promise<number> =>
    (await ten.api<{ instances: unknown[] }>('GET', '/api/instances?service=web')).instances.length;
  const before = await count();
  await enter('/services');
  const web = page
    .getByRole('listitem')
    .filter({ has: page.getByRole('button', { name: 'web', exact: true }) });
  await expect(web).toContainText(`${before} instances`);
  await ten.spawn('web', 'third');
  await expect(web).toContainText(`${before + 1} instances`);
  await ten.api('DELETE', '/api/instances/web/third');
  await expect(web).toContainText(`${before} instances`);
  await page.getByRole('button', { name: 'web', exact: true }).click();
  const table = page.getByRole('table', { name: 'Configuration of web' });
  await expect(table).toContainText('startup_timeout');
  await expect(table).toContainText('*** hidden');
  expect(page.url()).toContain('/services/web');
  // What was opened is not another page: the focus stays at it.
  await expect(page.getByRole('button', { name: 'web', exact: true })).toBeFocused();
});

test('counts need no question to the daemon, but for a service that is not known', async ({
  page,
  ten,
  enter,
}) => {
  await enter('/services');
  const web = page
    .getByRole('listitem')
    .filter({ has: page.getByRole('button', { name: 'web', exact: true }) });
  await expect(web).toContainText('2 running');
  let answer = (): void => {};
  const held = new Promise<void>((resolve) => (answer = resolve));
  await page.route('**/api/services?**', async (route) => {
    await held;
    await route.continue();
  });
  await ten.spawn('web', 'counted');
  await expect(web).toContainText('3 running');
  ten.writeConfig(`${CONFIG}\n[service.fresh]\n${/command = .*/.exec(CONFIG)?.[0]}\n`);
  await ten.api('POST', '/api/reload');
  // Sooner than the page would look by itself.
  const asked = page.waitForRequest('**/api/services?**', { timeout: 8000 });
  await ten.spawn('fresh', 'one');
  await asked;
  answer();
  await expect(page.getByRole('button', { name: 'fresh', exact: true })).toBeVisible();
  await ten.api('DELETE', '/api/instances/web/counted?purge=true');
  await ten.api('DELETE', '/api/instances/fresh/one?purge=true');
  ten.writeConfig(CONFIG);
  await ten.api('POST', '/api/reload');
});

test('who has a token of one instance spawns that one again, and no other', async ({ page, ten, enter }) => {
  await ten.spawn('web', 'mine');
  const token = await ten.newToken(['write'], { instance: 'web:mine' });
  await ten.api('DELETE', '/api/instances/web/mine');
  await enter('/', token);
  await page.getByRole('button', { name: 'Spawn it' }).click();
  const dialog = page.getByRole('dialog', { name: 'Spawn an instance' });
  await expect(dialog.getByLabel('Service')).toBeDisabled();
  await expect(dialog.getByLabel('Id', { exact: true })).toHaveValue('mine');
  await expect(dialog.getByLabel('Id', { exact: true })).not.toBeEditable();
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await go(page, '/instances/web/mine');
  await page.getByRole('link', { name: 'Spawn it' }).click();
  await dialog.getByRole('button', { name: 'Spawn', exact: true }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('web:mine');
  await ten.becomes('web', 'mine', 'running');
  await go(page, '/services');
  await expect(page.getByRole('button', { name: 'web', exact: true })).toBeVisible();
  await expect(page.getByRole('button', { name: /Spawn/ })).toHaveCount(0);
  await ten.api('DELETE', '/api/instances/web/mine?purge=true');
});

test('a spawn with variables, by keyboard alone', async ({ page, ten, enter }) => {
  await enter('/services');
  await expect(page.getByRole('button', { name: 'Spawn', exact: true })).toBeVisible();
  await page.keyboard.press('n');
  const dialog = page.getByRole('dialog', { name: 'Spawn an instance' });
  await dialog.getByLabel('Service').selectOption('web');
  await dialog.getByLabel('Id', { exact: true }).fill('not an id');
  await page.keyboard.press('Enter');
  await expect(dialog.getByRole('alert')).toBeVisible();
  await dialog.getByLabel('Id', { exact: true }).fill('keys');
  await dialog.getByRole('button', { name: 'Add a variable' }).press('Enter');
  await page.keyboard.type('GREETING');
  await page.keyboard.press('Tab');
  await page.keyboard.type('from the dialog');
  await page.keyboard.press('Enter');
  await expect(page.getByText('web:keys is being started')).toBeVisible();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('web:keys');
  await ten.becomes('web', 'keys', 'running');
  expect((await ten.visit('web', 'keys')).body).toContain('from the dialog');
  await ten.api('DELETE', '/api/instances/web/keys?purge=true');
});

test('what the daemon refuses is said in the dialog', async ({ page, ten, enter }) => {
  await ten.becomes('web', 'bob', 'running');
  await enter('/services/web?spawn=bob');
  const dialog = page.getByRole('dialog', { name: 'Spawn an instance' });
  await expect(dialog.getByLabel('Id', { exact: true })).toHaveValue('bob');
  await dialog.getByRole('button', { name: 'Spawn', exact: true }).click();
  await expect(dialog.getByRole('alert')).toContainText('bob');
});

test('an id with a dot is offered no address, which would be another’s', async ({ page, ten, enter }) => {
  await enter('/services/web?spawn=1');
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Id').fill('v1');
  await expect(dialog).toContainText(/Its address: v1\.web\.localhost:\d+/);
  await dialog.getByLabel('Id').fill('v1_');
  await expect(dialog).toContainText('ends with a letter or digit');
  await expect(dialog).not.toContainText('localhost');
  await dialog.getByLabel('Id').fill('v1.2');
  await expect(dialog).toContainText('No address');
  await dialog.getByRole('button', { name: 'Spawn' }).click();
  await expect(page.getByLabel('State')).toContainText('No address');
  await expect(page.getByLabel('State').getByRole('link')).toHaveCount(0);
  await ten.api('DELETE', '/api/instances/web/v1.2');
});

test('a service that is not there is said to be none', async ({ page, enter }) => {
  await enter('/services/nobody');
  await expect(page.getByText('There is no service nobody')).toBeVisible();
  await page.getByRole('link', { name: 'Show all' }).click();
  await expect(page.getByRole('button', { name: 'web', exact: true })).toBeVisible();
});

test('a read token has no spawn', async ({ page, ten, enter }) => {
  await enter('/services', await ten.newToken(['read']));
  await expect(page.getByRole('button', { name: 'web', exact: true })).toBeVisible();
  await expect(page.getByRole('button', { name: /Spawn/ })).toHaveCount(0);
});

test('on a small phone the search has the room for its words', async ({ page, enter }) => {
  await page.setViewportSize({ width: 320, height: 640 });
  await enter('/services');
  const box = await page.getByLabel('Search services').boundingBox();
  expect(box?.width).toBeGreaterThan(250);
});

test('it is fit for all', async ({ page, enter }) => {
  await enter('/services/web');
  await expect(page.getByRole('table', { name: 'Configuration of web' })).toBeVisible();
  await isFitForAll(page);
  await page.getByRole('button', { name: 'Spawn', exact: true }).click();
  await page.getByRole('button', { name: 'Add a variable' }).click();
  await isFitForAll(page);
});
