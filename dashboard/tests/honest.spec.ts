// What the dashboard does when connections are few, the daemon is away, or things do not go as they were meant to.
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Locator, Page, Route } from '@playwright/test';
import { CONFIG, Daemon, expect, go, see, signIn, test as base, withoutSockets } from './fixtures';

const APP = fileURLToPath(new URL('./apps/app.py', import.meta.url));
/** While this file is there, `frail` dies as soon as it starts. */
const FLAG = join(tmpdir(), `ten-ui-frail-${process.pid}`);
const FRAIL = `
[service.frail]
command = "sh -c 'test ! -e ${FLAG} && exec python3 ${APP}'"
`;

const test = base.extend<object, { ten: Daemon }>({
  ten: [
    async ({}, use) => {
      const ten = await Daemon.start(CONFIG.replace('max_restarts = 6', 'max_restarts = 1') + FRAIL);
      try {
        await use(ten);
      } finally {
        await ten.stop();
        rmSync(FLAG, { force: true });
      }
    },
    { scope: 'worker', timeout: 90_000 },
  ],
});

/** How many streams are open, of all or of one path. */
function streams(page: Page, path = '/'): { open: number } {
  const count = { open: 0 };
  page.on('websocket', (one) => {
    if (!one.url().includes('follow=true') || !one.url().includes(path)) return;
    count.open += 1;
    one.on('close', () => (count.open -= 1));
  });
  return count;
}

test('a page that nobody sees has no stream, and nothing is missing when it is seen again', async ({
  page,
  ten,
  enter,
}) => {
  await ten.becomes('web', 'alice', 'running');
  const count = streams(page);
  await enter('/logs?instance=web:alice');
  await ten.visit('web', 'alice', '/print?text=before');
  const texts = page.getByRole('log').locator('.text');
  await expect(texts.filter({ hasText: /^before$/ })).toHaveCount(1);
  await expect.poll(() => count.open).toBe(1);
  await see(page, false);
  await expect.poll(() => count.open).toBe(0);
  for (let n = 0; n < 5; n++) await ten.visit('web', 'alice', `/print?text=unseen-${n}.`);
  await see(page, true);
  for (let n = 0; n < 5; n++)
    await expect(texts.filter({ hasText: new RegExp(`^unseen-${n}\.$`) })).toHaveCount(1);
  await expect(page.getByText('The connection is lost')).toHaveCount(0);
  await go(page, '/instances/web/alice');
  await expect.poll(() => count.open).toBe(2);
  await see(page, false);
  await expect.poll(() => count.open).toBe(0);
  await ten.api('POST', '/api/instances/web/alice/stop');
  await see(page, true);
  await expect(page.getByRole('region', { name: 'State' })).toContainText('stopped');
  await expect(page.getByRole('list', { name: /What happened/ })).toContainText('Stopped');
  await go(page, '/');
  await expect.poll(() => count.open).toBe(1);
  await see(page, false);
  await expect.poll(() => count.open).toBe(0);
  await ten.api('POST', '/api/instances/web/alice/start');
  await see(page, true);
  await expect(page.getByRole('row').filter({ hasText: 'web:alice' })).toContainText('running');
});

test('many windows of one browser are live, and what one does is done', async ({ page, ten, front }) => {
  await ten.becomes('web', 'alice', 'running');
  const windows = [page];
  // More than a browser has connections for to one place.
  for (let n = 0; n < 7; n++) windows.push(await page.context().newPage());
  for (const one of windows) {
    await signIn(one, front.url, ten.token);
    await go(one, '/instances/web/alice');
  }
  const restarts = (one: Page): Locator => one.getByRole('region', { name: 'State' });
  const count = (await ten.api<{ restart_count: number }>('GET', '/api/instances/web/alice')).restart_count;
  await page.getByRole('button', { name: 'Restart', exact: true }).click();
  for (const one of windows)
    await expect(restarts(one)).toContainText(new RegExp(`Restarts\\s*${count + 1}`));
  for (const one of windows.slice(1)) await one.close();
});

test('who is not answered is told so, and asked again', async ({ page, ten, front }) => {
  await page.clock.install();
  await signIn(page, front.url, ten.token);
  let silent = true;
  await page.route('**/api/session', (route) => (silent ? undefined : route.continue()));
  await page.reload();
  await page.clock.runFor(1000);
  await expect(page.getByRole('main')).toBeVisible();
  await page.clock.runFor(15_000);
  await expect(page.getByRole('alert')).toContainText('did not answer within 15 s');
  await expect(page.getByRole('alert')).toContainText('close some');
  const asked = page.waitForRequest('**/api/session');
  await page.clock.runFor(3000);
  await asked;
  silent = false;
  await expect(async () => {
    await page.clock.runFor(3000);
    await expect(page.getByRole('navigation', { name: 'Pages' })).toBeVisible({ timeout: 300 });
  }).toPass();
  // What was asked before, and is given up only now, takes nothing away.
  await page.clock.runFor(15_000);
  await page.evaluate(() => fetch('/health'));
  await expect(page.getByText('tenement does not answer')).toHaveCount(0);
  await expect(page.getByRole('navigation', { name: 'Pages' })).toBeVisible();
});

test('a restart that fails is said as soon as the daemon knows', async ({ page, ten, enter }) => {
  await ten.spawn('frail', 'one');
  await ten.becomes('frail', 'one', 'running');
  const waits: string[] = [];
  page.on('request', (one) => one.url().includes('/wait') && waits.push(one.url()));
  await enter('/instances/frail/one');
  writeFileSync(FLAG, '');
  await page.getByRole('button', { name: 'Restart' }).click();
  await ten.becomes('frail', 'one', 'failed');
  await expect(page.getByText('frail:one was not restarted')).toBeVisible();
  await expect(
    page.getByRole('region', { name: 'State' }).getByText('failed', { exact: true }),
  ).toBeVisible();
  expect(waits).toEqual([]);
});

test('a key does what a button offers, and nothing else', async ({ page, ten, enter }) => {
  await ten.becomes('web', 'bob', 'running');
  await enter('/instances/web/bob');
  await expect(page.getByRole('button', { name: 'Restart' })).toBeVisible();
  const sent: string[] = [];
  page.on('request', (one) => one.method() === 'POST' && sent.push(one.url()));
  await page.keyboard.press('s');
  await page.keyboard.press('x');
  await page.getByRole('dialog').getByRole('button', { name: 'Stop', exact: true }).click();
  await expect(page.getByText('web:bob is stopped')).toBeVisible();
  expect(sent.map((url) => url.split('/').at(-1))).toEqual(['stop']);
  await ten.api('POST', '/api/instances/web/bob/start');
});

test('an expression with a mistake is asked for once, and nothing is counted', async ({ page, enter }) => {
  const count = streams(page, '/api/logs');
  await enter('/logs?instance=printer:one');
  await expect(page.getByRole('log').getByRole('listitem').first()).toBeVisible();
  await expect.poll(() => count.open).toBe(1);
  const asked: string[] = [];
  page.on('request', (one) => one.url().includes('histogram') && asked.push(one.url()));
  await page.getByRole('button', { name: 'Regular expression' }).click();
  const refused = page.waitForResponse(
    (answer) => answer.url().includes('histogram') && answer.status() === 400,
  );
  await page.locator('[data-search]').fill('tick(');
  await expect.poll(() => count.open).toBe(0);
  await refused;
  // Nothing is said of a search that is no more.
  await expect(page.getByText(/^[\d,]+\+? lines?$/)).toHaveCount(0);
  await expect(page.getByText('The connection is lost')).toHaveCount(0);
  // Lines come twice a second: what was asked for each of them is seen in the time of some.
  const before = asked.length;
  await page.waitForRequest((one) => one.url().includes('histogram'), { timeout: 2500 }).catch(() => {});
  expect(asked.length).toBe(before);
  await page.locator('[data-search]').fill('tick');
  await expect.poll(() => count.open).toBe(1);
  await expect(page.getByText('Live', { exact: true })).toBeVisible();
});

test('a page that could not be loaded is loaded when the daemon is back', async ({ page, ten, enter }) => {
  await enter();
  await page.route('**/assets/**', (route) => route.abort());
  await page.route('**/health', (route) => route.abort());
  await go(page, '/tokens');
  await expect(page.getByRole('alert')).toContainText('The daemon does not answer');
  await page.unrouteAll();
  await expect(page.getByRole('button', { name: 'New token' }).first()).toBeVisible();
  await expect(page.locator('main table')).toBeVisible();
  await ten.becomes('web', 'bob', 'running');
});

test('what could not be asked for is asked for again when the daemon is back', async ({ page, enter }) => {
  const pages = [
    { path: '/config', asks: '**/api/config/file', shows: page.getByLabel('tenement.toml') },
    { path: '/logs?line=printer:one:1', asks: '**/api/logs?**', shows: page.locator('[role=log] .target') },
  ];
  await enter();
  const planned: string[] = [];
  page.on('request', (one) => one.url().includes('/config/plan') && planned.push(one.url()));
  for (const { path, asks, shows } of pages) {
    await page.route(asks, (route) => route.abort());
    await go(page, path);
    await expect(page.getByRole('alert').filter({ hasText: 'The daemon does not answer' })).toBeVisible();
    await page.waitForRequest(asks);
    // What is not known is no text to be checked.
    expect(planned).toEqual([]);
    await page.unrouteAll();
    await expect(shows).toBeVisible();
    planned.length = 0;
  }
});

test('what was refused for a while is asked for again after it', async ({ page, ten, front }) => {
  await page.clock.install();
  await signIn(page, front.url, ten.token);
  const refusal = {
    status: 429,
    headers: { 'Retry-After': '60' },
    json: { error: 'rate_limited', message: 'More than 1000 requests with this token', status: 429 },
  };
  const alert = page.getByRole('alert').filter({ hasText: 'More than 1000 requests' });
  const pages = [
    {
      path: '/logs?instance=printer:one',
      asks: '**/api/logs?**',
      shows: page.getByRole('log').getByRole('listitem').first(),
    },
    {
      path: '/events',
      asks: '**/api/events?**',
      shows: page.locator('main').getByText('printer:one').first(),
    },
  ];
  for (const { path, asks, shows } of pages) {
    await page.route(asks, (route) => route.fulfill(refusal));
    await go(page, path);
    await expect(alert.first()).toBeVisible();
    await page.unrouteAll();
    await page.clock.runFor(65_000);
    await expect(shows).toBeVisible();
  }
  await page.route('**/api/session', (route) => route.fulfill(refusal));
  await page.reload();
  await expect(alert).toContainText('tenement lets nobody in just now');
  await page.unrouteAll();
  await page.clock.runFor(65_000);
  await expect(page.getByRole('navigation', { name: 'Pages' })).toBeVisible();
});

test('who looks again and again asks nothing before the daemon said, and then by itself', async ({
  page,
  ten,
  front,
}) => {
  await page.clock.install();
  await withoutSockets(page);
  await signIn(page, front.url, ten.token);
  // What comes back asks too.
  await page.route('**/api/overview**', (route) => route.abort());
  let asked = 0;
  const refuse = (route: Route): Promise<void> => {
    asked += 1;
    const json = { error: 'rate_limited', message: 'More than 1000 requests with this token', status: 429 };
    return route.fulfill({ status: 429, headers: { 'Retry-After': '40' }, json });
  };
  await page.route('**/api/services?**', refuse);
  await go(page, '/services');
  await expect(page.getByRole('alert').filter({ hasText: 'More than 1000 requests' })).toBeVisible();
  // It looks every 30 s: once in these, and not in those that follow.
  await page.clock.runFor(35_000);
  await page.evaluate(() => fetch('/health'));
  expect(asked).toBe(1);
  await page.unroute('**/api/services?**');
  await page.clock.runFor(10_000);
  await expect(page.getByRole('button', { name: 'web', exact: true })).toBeVisible();
  // Where there is no stream it is asked every 10 s whether the token still is one.
  await go(page, '/config');
  asked = 0;
  await page.route('**/api/session', refuse);
  const refused = page.waitForResponse('**/api/session');
  await page.clock.runFor(11_000);
  await (await refused).finished();
  await page.evaluate(() => fetch('/health'));
  await page.clock.runFor(30_000);
  await page.evaluate(() => fetch('/health'));
  expect(asked).toBe(1);
});

for (const [who, reason] of [
  ['who is signed in goes on', 'rate_limited'],
  ['who is not is told so', 'rate_limited'],
  ['who is signed in goes on', 'unavailable'],
])
  test(`a link that is refused is tried once: ${who} (${reason})`, async ({ page, ten, front }) => {
    const isIn = who.includes('goes on');
    await page.clock.install();
    if (isIn) await signIn(page, front.url, ten.token);
    else await page.goto(front.url);
    let asked = 0;
    await page.route('**/api/session', (route) => {
      if (route.request().method() !== 'POST') return route.continue();
      asked += 1;
      const status = reason === 'rate_limited' ? 429 : 503;
      const json = { error: reason, message: 'Not by this link', status };
      return route.fulfill({ status, headers: { 'Retry-After': '5' }, json });
    });
    await page.evaluate(() => (location.hash = '#/link/wrong'));
    if (isIn) await page.getByRole('button', { name: 'Use the link' }).click();
    await expect(page.getByText('Not by this link')).toBeVisible();
    const stays = isIn
      ? page.getByRole('navigation', { name: 'Pages' })
      : page.getByLabel('Token', { exact: true });
    await expect(stays).toBeVisible();
    await page.clock.runFor(20_000);
    await page.evaluate(() => fetch('/health'));
    await expect(stays).toBeVisible();
    expect(asked).toBe(1);
  });

test('a page that comes late takes nothing from the one that is looked at', async ({ page, enter }) => {
  await enter('/services');
  await page.clock.install();
  let come = (): void => {};
  const held = new Promise<void>((resolve) => (come = resolve));
  await page.route('**/assets/*.js', async (route) => {
    await held;
    await route.continue();
  });
  await page.getByRole('link', { name: 'Tokens', exact: true }).click();
  await page.getByRole('link', { name: 'Services', exact: true }).click();
  await page.clock.runFor(1000);
  await expect(page.getByPlaceholder('Search services')).toBeVisible();
  const loaded = page.waitForResponse('**/assets/*.js');
  come();
  await loaded;
  await page.clock.runFor(1000);
  await expect(page.getByPlaceholder('Search services')).toBeVisible();
});

test('who leaves an instance asks for no other', async ({ page, enter }) => {
  await enter('/instances/web/bob');
  await expect(page.getByRole('region', { name: 'State' })).toBeVisible();
  const asked: string[] = [];
  page.on('request', (one) => one.url().includes('undefined') && asked.push(one.url()));
  await go(page, '/services');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Services');
  await expect(page.getByPlaceholder('Search services')).toBeVisible();
  await page.goBack();
  await expect(page.getByRole('region', { name: 'State' })).toBeVisible();
  expect(asked).toEqual([]);
});

for (const how of ['503', 'abort'])
  test(`a link asks whoever is signed in, also after a ${how}`, async ({ page, ten, front }) => {
    const link = (body: object) => ten.api<{ code: string }>('POST', '/api/links', body);
    const made = (await ten.api('POST', '/api/session', { link: (await link({})).code })) as {
      token: string;
    };
    await page.goto(front.url);
    await page.evaluate((token) => sessionStorage.setItem('tenement.token', token), made.token);
    let failed = false;
    await page.route('**/api/session', async (route) => {
      if (failed || route.request().method() !== 'GET') return route.continue();
      failed = true;
      if (how === 'abort') return route.abort();
      return route.fulfill({ status: 503, json: { error: 'unavailable', message: 'busy', status: 503 } });
    });
    const other = (await link({ scopes: ['read'] })).code;
    await page.goto(`${front.url}/?again#/link/${other}`);
    const dialog = page.getByRole('dialog', { name: 'Sign in by this link?' });
    await expect(dialog).toBeVisible();
    expect(await page.evaluate(() => sessionStorage.getItem('tenement.token'))).toBe(made.token);
    await dialog.getByRole('button', { name: 'Use the link' }).click();
    await expect
      .poll(() => page.evaluate(() => sessionStorage.getItem('tenement.token')))
      .not.toBe(made.token);
    await expect
      .poll(() => ten.api('GET', '/api/session', undefined, made.token).then(() => 'valid', String))
      .toContain('401');
  });

test('a token that is revoked elsewhere ends also what has no stream', async ({ page, ten, enter }) => {
  const { id, token } = await ten.api<{ id: string; token: string }>('POST', '/api/tokens', {
    name: 'short',
    scopes: ['admin'],
  });
  await page.clock.install();
  await enter('/config', token);
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Config');
  await expect(page.getByRole('main').getByRole('textbox')).toBeVisible();
  await ten.api('DELETE', `/api/tokens/${id}`);
  await page.clock.runFor(10_000);
  await expect(page.getByText('The token was revoked or has expired')).toBeVisible();
  await expect(page.getByRole('main')).not.toContainText('command');
});

test('a question goes with its page', async ({ page, enter }) => {
  await enter();
  await go(page, '/instances/web/bob');
  await page.getByRole('button', { name: 'More actions' }).click();
  await page.getByRole('menuitem', { name: /^Delete/ }).click();
  await expect(page.getByRole('dialog')).toBeVisible();
  await page.goBack();
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Overview');
});
