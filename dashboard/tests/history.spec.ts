import { expect, go, isFitForAll, test, withoutSockets } from './fixtures';

test('events come live, and filters are in the address', async ({ page, ten, enter }) => {
  await ten.becomes('web', 'bob', 'running');
  await enter('/events');
  const list = page.getByRole('list', { name: 'Events, the newest first' });
  await expect(list).toContainText('Started with the daemon');
  await ten.api('POST', '/api/instances/web/bob/restart');
  await expect(list.getByRole('listitem').filter({ hasText: 'Restarted by hand' }).first()).toContainText(
    'web:bob',
  );
  await page.getByLabel('Cause').selectOption('idle');
  await expect(list).not.toContainText('web:bob');
  await expect(list).toContainText('naps:nora');
  expect(page.url()).toContain('cause=idle');
  await page.getByRole('searchbox', { name: 'Service or instance' }).fill('web:nobody');
  await expect(page.getByRole('heading', { name: 'Nothing like that happened' })).toBeVisible();
  await page.getByRole('button', { name: 'Show all' }).click();
  await expect(list).toContainText('web:bob');
});

test('what is followed is no older than what is asked for', async ({ page, ten, enter }) => {
  await ten.becomes('web', 'bob', 'running');
  const asked = page.waitForEvent('websocket', (socket) => /events.*follow=true/.test(socket.url()));
  await enter('/events?since=1h');
  expect(new URL((await asked).url()).searchParams.get('since')).toBe('1h');
});

test('j, k and Enter lead to the instance of an event', async ({ page, ten, enter }) => {
  await ten.becomes('web', 'bob', 'running');
  await enter('/events?of=web:bob');
  const list = page.getByRole('list', { name: 'Events, the newest first' });
  await expect(list.getByRole('listitem').first()).toBeVisible();
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('web:bob');
});

test('what is read and what is chosen stay where they are while others happen', async ({
  page,
  ten,
  enter,
}) => {
  test.slow();
  const restart = () => ten.api('POST', '/api/instances/web/bob/restart');
  await ten.becomes('web', 'bob', 'running');
  for (let i = 0; i < 12; i++) {
    await restart();
    await ten.becomes('web', 'bob', 'running');
  }
  await enter('/events');
  const list = page.getByRole('list', { name: 'Events, the newest first' });
  await expect(list.getByRole('listitem').first()).toBeVisible();
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  const chosen = list.locator('.here');
  await chosen.evaluate((one) => (one.id = 'chosen'));
  const main = page.locator('main');
  await main.evaluate((one) => (one.scrollTop = 200));
  const row = list.getByRole('listitem').nth(8);
  await row.evaluate((one) => (one.id = 'read'));
  const top = (): Promise<number> =>
    page.locator('#read').evaluate((one) => Math.round(one.getBoundingClientRect().top));
  const before = await top();
  const height = await main.evaluate((one) => one.scrollHeight);
  await restart();
  await expect.poll(() => main.evaluate((one) => one.scrollHeight)).toBeGreaterThan(height + 60);
  // The browser moves what is read back in its next frame.
  await expect.poll(async () => Math.abs((await top()) - before)).toBeLessThan(8);
  await expect(chosen).toHaveAttribute('id', 'chosen');
});

// faults: U5
test('a page that is opened while the daemon is away heals by itself', async ({ page, ten, enter }) => {
  test.slow();
  await ten.becomes('web', 'bob', 'running');
  await enter('/events');
  const list = page.getByRole('list', { name: 'Events, the newest first' });
  await expect(list).toBeVisible();
  await go(page, '/host');
  await expect(page.getByRole('heading', { name: 'Nowhere else' })).toBeVisible();
  await go(page, '/logs');
  await expect(page.getByRole('log')).toBeVisible();
  await go(page, '/tokens');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Tokens');
  await ten.end();
  for (const path of ['/events', '/logs', '/host']) {
    await go(page, path);
    await expect(page.getByRole('button', { name: 'Try again' })).toBeVisible();
  }
  await go(page, '/events');
  await ten.run();
  await expect(list).toBeVisible({ timeout: 30_000 });
  await ten.end();
  await go(page, '/logs');
  await expect(page.getByRole('button', { name: 'Try again' })).toBeVisible();
  await ten.run();
  await expect(page.getByRole('log')).toBeVisible({ timeout: 30_000 });
  await ten.end();
  await go(page, '/host');
  await expect(page.getByRole('button', { name: 'Try again' })).toBeVisible();
  await ten.run();
  await expect(page.getByRole('heading', { name: 'Nowhere else' })).toBeVisible({ timeout: 30_000 });
});

test('a page of the audit that is not there leads back', async ({ page, enter }) => {
  await enter('/audit?page=99');
  await expect(page.getByRole('heading', { name: 'There are not so many' })).toBeVisible();
  await page.getByRole('button', { name: 'To the newest' }).click();
  expect(page.url()).not.toContain('page=');
});

test('the audit says who did what, also what was refused, in pages', async ({ page, ten, enter }) => {
  for (let i = 0; i < 55; i++) await ten.api('POST', '/api/instances/web/nobody/stop').catch(() => {});
  await ten.api('POST', '/api/instances/web/bob/restart');
  await enter('/audit');
  const table = page.getByRole('table', { name: 'Who changed what, the newest first' });
  await expect(table.getByRole('row').nth(1)).toContainText('Restart');
  await expect(table).toContainText('404');
  await page.getByRole('button', { name: 'Older' }).click();
  expect(page.url()).toContain('page=1');
  await expect(page.getByText(/^51–/)).toBeVisible();
  await page.getByLabel('What', { exact: true }).selectOption('restart_instance');
  await expect(table).not.toContainText('404');
  await expect(table.getByRole('row').nth(1)).toContainText('web:bob');
});

test('the address that somebody came from is in one line of the audit', async ({ page, ten, enter }) => {
  await ten.api('POST', `/api/instances/web/${'long-'.repeat(12)}/stop`).catch(() => {});
  await enter('/audit');
  const from = page.locator('[data-name=From]').filter({ hasText: '127.0.0.1' }).first();
  const lines = (one: Element): number => {
    const text = document.createRange();
    text.selectNodeContents(one);
    return text.getClientRects().length;
  };
  expect(await from.evaluate(lines)).toBe(1);
});

test('a long name pushes no event out of its column', async ({ page, ten, enter }) => {
  const id = 'a-name-that-is-long-'.repeat(3).slice(0, 59);
  await ten.spawn('web', id);
  await enter('/events');
  const list = page.getByRole('list', { name: 'Events, the newest first' });
  const left = (name: string): Promise<number> =>
    list
      .getByRole('listitem')
      .filter({ hasText: name })
      .first()
      .locator('.head .title')
      .evaluate((one) => one.getBoundingClientRect().left);
  expect(await left('web:a-name')).toBe(await left('web:bob'));
  await ten.api('DELETE', `/api/instances/web/${id}?purge=true`);
});

test('a page without a stream does not say that one is lost', async ({ page, enter }) => {
  await withoutSockets(page);
  await page.route('**/api/overview?*', (route) => route.abort());
  await enter();
  const aloud = page.getByRole('banner').getByRole('status');
  await expect(aloud).toHaveText('Connection lost');
  await go(page, '/tokens');
  await expect(aloud).toHaveText('');
});

test('on a very large screen all pages are as wide as the bar above them', async ({ page, enter }) => {
  await page.setViewportSize({ width: 3840, height: 2160 });
  await enter();
  for (const path of ['/', '/events', '/instances/web/bob']) {
    await go(page, path);
    const wide = (what: string): Promise<number> =>
      page.locator(what).evaluate((one) => Math.round(one.getBoundingClientRect().width));
    // The bar has no room for what scrolls.
    expect((await wide('.shell > header')) - (await wide('main > .page'))).toBeLessThan(24);
  }
});

test('a small phone shows what each filter of the audit is for', async ({ page, enter }) => {
  await page.setViewportSize({ width: 320, height: 640 });
  await enter('/audit');
  await expect(page.locator('main input')).toHaveCount(2);
  const cut = await page.locator('main input').evaluateAll((inputs) =>
    (inputs as HTMLInputElement[])
      .filter((input) => {
        const style = getComputedStyle(input);
        const pen = document.createElement('canvas').getContext('2d')!;
        pen.font = style.font;
        const room = input.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
        return pen.measureText(input.placeholder).width > room;
      })
      .map((input) => input.placeholder),
  );
  expect(cut).toEqual([]);
});

test('the host page says what can be enforced, and what follows', async ({ page, enter }) => {
  await enter('/host');
  const enforces = page.getByRole('region', { name: 'What this machine can enforce' });
  await expect(enforces.getByRole('listitem')).toHaveCount(5);
  await expect(page.getByRole('table', { name: 'Logs by service' })).toContainText('printer');
  await expect(page.getByRole('heading', { name: 'Nowhere else' })).toBeVisible();
});

for (const path of ['/events', '/audit', '/host']) {
  test(`${path} is fit for all`, async ({ page, ten, enter }) => {
    await ten.api('POST', '/api/instances/web/nobody/stop').catch(() => {});
    await enter(path);
    await expect(page.locator('main .panel').first()).toBeVisible();
    await isFitForAll(page);
  });
}
