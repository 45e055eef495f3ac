import type { Locator, Page } from '@playwright/test';
import {
  expect,
  go,
  isFitForAll,
  signIn,
  test,
  tooWide,
  type Daemon,
  until,
  withoutSockets,
} from './fixtures';

const ATTACK = '<img src=x onerror="document.title=1">';

const tableOf = (page: Page): Locator => page.getByRole('table', { name: 'Instances' });
const rowOf = (page: Page, instance: string): Locator =>
  tableOf(page)
    .getByRole('row')
    .filter({ has: page.getByRole('link', { name: instance, exact: true }) });

/** Requests, one after another, until the end. */
function visitors(ten: Daemon, service: string, id: string): { end: () => Promise<void> } {
  let more = true;
  const all = (async () => {
    while (more) expect((await ten.visit(service, id)).status).toBe(200);
  })();
  return { end: () => ((more = false), all) };
}

test.beforeEach(async ({ ten }) => {
  await ten.becomes('web', 'alice', 'running');
});

test('a wrong token is refused, a right one shows all instances', async ({ page, ten, front }) => {
  await page.goto(front.url);
  await page.getByLabel('Token', { exact: true }).fill('wrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('alert')).toContainText('This token is not valid');
  await signIn(page, front.url, ten.token);
  const { instances } = await ten.api<{ instances: { instance: string }[] }>('GET', '/api/instances');
  expect(instances.length).toBeGreaterThanOrEqual(4);
  for (const { instance } of instances) await expect(rowOf(page, instance)).toBeVisible();
  await expect(tableOf(page)).toHaveAttribute('aria-rowcount', String(instances.length + 1));
  await expect(page.getByRole('group', { name: 'Totals' })).toContainText('Daemon');
});

test('a spawn over the API arrives without a reload, and a deletion too', async ({ page, ten, enter }) => {
  await enter();
  await expect(rowOf(page, 'web:alice')).toBeVisible();
  await ten.spawn('web', 'arrives');
  await expect(rowOf(page, 'web:arrives')).toContainText('running');
  await ten.api('DELETE', '/api/instances/web/arrives?purge=true');
  await expect(rowOf(page, 'web:arrives')).toHaveCount(0);
});

test('a request wakes one that sleeps, and its row says so', async ({ page, ten, enter }) => {
  await ten.becomes('naps', 'nora', 'sleeping');
  await enter();
  const row = rowOf(page, 'naps:nora');
  await expect(row).toContainText('sleeping');
  // Open until it was seen awake, however long that takes.
  const visit = ten.visit('naps', 'nora', '/hold');
  await expect(row).toContainText('running');
  await expect(row).toContainText('ago');
  await ten.visit('naps', 'nora', '/release');
  expect((await visit).status).toBe(200);
  await expect(row).toContainText('sleeping');
});

test('restart, stop and start by the buttons of a row', async ({ page, ten, enter }) => {
  await ten.spawn('web', 'turns');
  await enter();
  const row = rowOf(page, 'web:turns');
  // Held until its word is seen, which may be there for a moment only.
  let go = (): void => {};
  const seen = new Promise<void>((resolve) => (go = resolve));
  await page.route('**/api/instances/web/turns/restart', async (route) => {
    await seen;
    await route.continue();
  });
  await row.getByRole('button', { name: 'Restart web:turns' }).click();
  await expect(row).toContainText('restarting');
  go();
  await expect(page.getByText('web:turns was restarted')).toBeVisible();
  await expect(row).toContainText('running');
  await row.getByRole('button', { name: 'Stop web:turns' }).click();
  await expect(page.getByText('web:turns is stopped')).toBeVisible();
  await expect(row).toContainText('stopped');
  await expect(row.getByRole('button', { name: 'Stop web:turns' })).toBeDisabled();
  await row.getByRole('button', { name: 'Start web:turns' }).click();
  await expect(page.getByText('web:turns runs')).toBeVisible();
  await expect(row).toContainText('running');
  await ten.api('DELETE', '/api/instances/web/turns?purge=true');
});

test('a stop of one that has requests is asked about', async ({ page, ten, enter }) => {
  await ten.spawn('web', 'busy');
  await ten.becomes('web', 'busy', 'running');
  await enter();
  const row = rowOf(page, 'web:busy');
  const visits = visitors(ten, 'web', 'busy');
  await expect(row.locator('.c-requests')).not.toHaveText('0');
  await row.getByRole('button', { name: 'Stop web:busy' }).click();
  const dialog = page.getByRole('dialog', { name: 'Stop web:busy?' });
  await expect(dialog).toContainText('It has requests just now');
  await page.keyboard.press('Escape');
  await expect(dialog).toBeHidden();
  await expect(row).toContainText('running');
  await row.getByRole('button', { name: 'Stop web:busy' }).click();
  await expect(dialog).toBeVisible();
  await visits.end();
  await dialog.getByRole('button', { name: 'Stop', exact: true }).click();
  await expect(row).toContainText('stopped');
  await ten.api('DELETE', '/api/instances/web/busy?purge=true');
});

test('what the daemon refuses is said, and the row keeps its state', async ({ page, enter }) => {
  await page.route('**/api/instances/web/bob/stop', (route) =>
    route.fulfill({
      status: 503,
      json: { error: 'shutting_down', message: 'It is about to end', hint: 'Later' },
    }),
  );
  await enter();
  const row = rowOf(page, 'web:bob');
  await row.getByRole('button', { name: 'Stop web:bob' }).click();
  await expect(page.getByText('web:bob was not stopped')).toBeVisible();
  await expect(row).toContainText('running');
});

test('search, order and filters are in the address, and come back', async ({ page, enter }) => {
  await enter();
  const table = tableOf(page);
  // The search is there with the rows.
  await expect(rowOf(page, 'web:alice')).toBeVisible();
  await page.keyboard.press('/');
  await page.keyboard.type('web');
  await table.getByRole('button', { name: 'Instance' }).click();
  await page.getByRole('button', { name: /^running/ }).click();
  const isSo = async (): Promise<void> => {
    await expect(rowOf(page, 'web:alice')).toBeVisible();
    await expect(rowOf(page, 'printer:one')).toHaveCount(0);
    await expect(page.getByRole('searchbox')).toHaveValue('web');
    await expect(page.getByRole('button', { name: /^running/ })).toHaveAttribute('aria-pressed', 'true');
    await expect(table.getByRole('columnheader', { name: 'Instance' })).toHaveAttribute(
      'aria-sort',
      'descending',
    );
    const names = await table.getByRole('link').allTextContents();
    expect(names).toEqual([...names].sort().reverse());
  };
  await isSo();
  expect(page.url()).toMatch(/q=web.*down=1.*status=running/);
  await page.reload();
  await isSo();
  await page.getByRole('button', { name: 'Clear' }).last().click();
  await expect(rowOf(page, 'printer:one')).toBeVisible();
  await page.getByRole('searchbox').fill('nobody is called that');
  await expect(page.getByRole('heading', { name: 'No instance is like that' })).toBeVisible();
});

test('a read token has no buttons, a bound one only its own', async ({ page, ten, front }) => {
  await signIn(page, front.url, await ten.newToken(['read']));
  await expect(rowOf(page, 'web:bob')).toBeVisible();
  await expect(tableOf(page).getByRole('button', { name: /^(Restart|Start|Stop) / })).toHaveCount(0);
  await expect(page.getByRole('button', { name: /Spawn/ })).toHaveCount(0);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await signIn(page, front.url, await ten.newToken(['read', 'write'], { instance: 'web:bob' }));
  await expect(rowOf(page, 'web:bob').getByRole('button', { name: 'Restart web:bob' })).toBeVisible();
  await expect(tableOf(page).getByRole('link')).toHaveCount(1);
  await expect(page.getByRole('button', { name: /Spawn/ })).toHaveCount(0);
});

// faults: U5
test('a daemon that is killed is followed by another, and the table by it', async ({ page, ten, enter }) => {
  await enter();
  await expect(rowOf(page, 'web:alice')).toContainText('running');
  const pid = async (): Promise<number> => (await ten.api<{ pid: number }>('GET', '/api/status')).pid;
  const before = await pid();
  process.kill(before, 'SIGKILL');
  await until(async () => (await pid().catch(() => before)) !== before);
  await ten.spawn('web', 'after');
  // The page may just have begun its longest wait between two attempts.
  await expect(rowOf(page, 'web:after')).toContainText('running', { timeout: 30_000 });
  await expect(rowOf(page, 'web:alice')).toContainText('running');
  await expect(page.getByText('Live', { exact: true })).toBeVisible();
  await ten.api('DELETE', '/api/instances/web/after?purge=true');
});

// faults: U5
test('a daemon that is away for longer is said, and the table heals', async ({ page, ten, enter }) => {
  await enter();
  await expect(rowOf(page, 'web:alice')).toContainText('running');
  await ten.end();
  const banner = page.getByText('The connection is lost');
  await expect(banner).toBeVisible();
  const aloud = page.getByRole('banner').getByRole('status');
  await expect(aloud).toHaveText('Connection lost');
  await expect(rowOf(page, 'web:alice')).toBeVisible();
  await ten.run();
  await expect(banner).toHaveCount(0, { timeout: 30_000 });
  await expect(aloud).toHaveText('Live again');
  await ten.becomes('web', 'alice', 'running');
  await expect(rowOf(page, 'web:alice')).toContainText('running');
});

// faults: G4, U1
test('hostile reasons, variables, lines and addresses stay text', async ({ page, ten, enter }) => {
  page.on('dialog', (dialog) => {
    throw new Error(`a dialog: ${dialog.message()}`);
  });
  const text = encodeURIComponent(`${ATTACK}</script><script>alert(1)</script>]]>`);
  await ten.spawn('web', 'evil', { GREETING: ATTACK });
  await ten.visit('web', 'evil', `/print?text=${text}`);
  await ten.visit('web', 'evil', '/crash?code=4');
  // The daemon writes reasons itself; here is one that it would not.
  await withoutSockets(page);
  await page.route('**/api/overview?*', async (route) => {
    const { instances } = await ten.api<{ instances: object[] }>('GET', '/api/overview');
    const rows = instances.map((row) => ({ ...row, reason: ATTACK, status: 'failed' }));
    const message = { type: 'snapshot', at: Date.now(), more: false, instances: rows };
    await route.fulfill({ contentType: 'application/x-ndjson', body: `${JSON.stringify(message)}\n` });
  });
  await enter('/?q=evil');
  await expect(rowOf(page, 'web:evil')).toContainText(ATTACK);
  const scripts = await page.locator('script').count();
  const isInert = async (): Promise<void> => {
    await expect(page.locator('main img, dialog img, [onerror]')).toHaveCount(0);
    expect(await page.locator('script').count()).toBe(scripts);
    await expect(page).toHaveTitle(/tenement$/);
  };
  await isInert();
  await page.getByRole('searchbox').fill(ATTACK);
  await isInert();
  for (const path of ['/logs?instance=web:evil', '/instances/web/evil', '/events?of=web:evil']) {
    await go(page, path);
    // Events have their last lines folded away.
    if (path.startsWith('/events'))
      await page
        .getByText(/^The last \d+ lines/)
        .last()
        .click();
    await expect(page.locator('main')).toContainText(ATTACK);
    await isInert();
  }
  await go(page, '/instances/web/evil?tab=env');
  await expect(page.locator('main')).toContainText(ATTACK);
  await isInert();
  await ten.api('DELETE', '/api/instances/web/evil?purge=true');
});

test('help and colours by keyboard; the choice stays', async ({ page, enter }) => {
  await enter();
  await page.keyboard.press('?');
  const help = page.getByRole('dialog', { name: 'Keys' });
  await expect(help).toContainText('Next row');
  await isFitForAll(page);
  await page.keyboard.press('Escape');
  await expect(help).toHaveCount(0);
  await page.emulateMedia({ colorScheme: 'light' });
  const colours = page.getByRole('button', { name: /^Colours/ });
  const root = page.locator('html');
  await colours.press('Enter');
  await expect(root).toHaveAttribute('data-theme', 'light');
  await colours.press('Enter');
  await expect(root).toHaveAttribute('data-theme', 'dark');
  await page.reload();
  await expect(rowOf(page, 'web:alice')).toBeVisible();
  await expect(root).toHaveAttribute('data-theme', 'dark');
});

test('j, k and Enter lead to an instance', async ({ page, enter }) => {
  await enter('/?q=web:alice');
  await expect(rowOf(page, 'web:alice')).toBeVisible();
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('web:alice');
});

test('Enter leads from the search into the table', async ({ page, enter }) => {
  await enter();
  await expect(rowOf(page, 'web:bob')).toBeVisible();
  await page.keyboard.press('/');
  await page.keyboard.type('bob');
  await expect(page.getByRole('table', { name: 'Instances' }).getByRole('row')).toHaveCount(2);
  await page.keyboard.press('Enter');
  await expect(page.getByRole('link', { name: 'web:bob' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/#\/instances\/web\/bob/);
});

test('the focus comes back when a dialog is closed', async ({ page, enter }) => {
  await enter();
  const spawn = page.getByRole('button', { name: 'Spawn an instance' });
  await spawn.focus();
  for (const key of ['Enter', '?']) {
    await page.keyboard.press(key);
    await expect(page.getByRole('dialog')).toBeVisible();
    await page.keyboard.press('Escape');
    await expect(page.getByRole('dialog')).toHaveCount(0);
    await expect(spawn).toBeFocused();
  }
  await go(page, '/instances/web/alice');
  const more = page.getByRole('button', { name: 'More actions' });
  await more.focus();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('menuitem').first()).toBeFocused();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
  await expect(more).toBeFocused();
});

test('keys go on from the row that has the focus, wherever it is by then', async ({ page, ten, enter }) => {
  await enter();
  await expect(rowOf(page, 'web:bob')).toBeVisible();
  await rowOf(page, 'web:alice').getByRole('link').focus();
  await ten.spawn('printer', 'before');
  await expect(rowOf(page, 'printer:before')).toContainText('running');
  await page.keyboard.press('j');
  await expect(rowOf(page, 'web:bob').getByRole('link')).toBeFocused();
  await ten.api('DELETE', '/api/instances/printer/before?purge=true');
});

test('what a cell says more is shown, and a click there goes where the row does', async ({ page, enter }) => {
  await enter();
  const cell = rowOf(page, 'web:alice').locator('.c-uptime');
  // At once: what comes above the table moves its rows.
  const title = await cell.evaluate((one) => {
    const { x, y, width, height } = one.getBoundingClientRect();
    const shown = document.elementFromPoint(x + width / 2, y + height / 2);
    return shown?.closest('[title]')?.getAttribute('title');
  });
  expect(title).toContain('since');
  const other = page.context().waitForEvent('page');
  await cell.click({ button: 'middle' });
  await expect(await other).toHaveURL(/#\/instances\/web\/alice$/);
  await cell.click({ button: 'right' });
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Overview');
  await cell.click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('web:alice');
});

test('filters are counted again where nothing happens after a change', async ({ page, enter }) => {
  await withoutSockets(page);
  await page.addInitScript(() => {
    const real = window.fetch;
    window.fetch = (asked, how) => {
      if (!String(asked).includes('/api/overview')) return real(asked, how);
      const body = new ReadableStream<Uint8Array>({
        start: (stream) => {
          Object.assign(window, {
            tell: (message: unknown) =>
              stream.enqueue(new TextEncoder().encode(`${JSON.stringify(message)}\n`)),
          });
        },
      });
      return Promise.resolve(new Response(body));
    };
  });
  const tell = (message: object): Promise<void> =>
    page.evaluate((one) => (window as unknown as { tell: (message: object) => void }).tell(one), {
      at: Date.now(),
      ...message,
    });
  await enter();
  const row = (id: string, status: string): object => ({
    ...{ instance: `web:${id}`, service: 'web', id, status, health: 'healthy', reason: null, since: 0 },
    ...{ memory_mb: 1, cpu_percent: 0, rps: 0, eps: 0, requests: 0, errors: 0, restarts: 0 },
    ...{ last_wake: null, wake_ms: null, spark: [] },
  });
  await tell({ type: 'snapshot', instances: [row('a', 'running'), row('b', 'running')], more: false });
  await tell({ type: 'changes', instances: [row('b', 'starting')], gone: [] });
  await tell({ type: 'changes', instances: [row('b', 'stopped')], gone: [] });
  await expect(rowOf(page, 'web:b')).toContainText('stopped');
  const machine = {
    ...{ type: 'machine', instances: { total: 2, running: 1, stopped: 1 } },
    ...{ requests_per_second: 0, errors_per_second: 0 },
  };
  await expect(async () => {
    await tell(machine);
    await expect(page.getByRole('button', { name: /^stopped\s*1$/ })).toBeVisible({ timeout: 300 });
  }).toPass();
});

test('what is unhealthy is seen in a window that has no column for it', async ({ page, enter }) => {
  await withoutSockets(page);
  await page.route('**/api/overview?*', async (route) => {
    const row = {
      ...{ instance: 'web:ill', service: 'web', id: 'ill', status: 'running', health: 'unhealthy' },
      ...{ reason: null, since: 0, memory_mb: 1, cpu_percent: 0, rps: 0, eps: 0, requests: 0, errors: 0 },
      ...{ restarts: 0, last_wake: null, wake_ms: null, spark: [] },
    };
    const body = `${JSON.stringify({ type: 'snapshot', at: Date.now(), instances: [row], more: false })}\n`;
    await route.fulfill({ contentType: 'application/x-ndjson', body });
  });
  await page.setViewportSize({ width: 1100, height: 800 });
  await enter();
  const cell = rowOf(page, 'web:ill').locator('.c-status');
  await expect(cell.getByText('unhealthy')).toBeVisible();
  await page.setViewportSize({ width: 1500, height: 800 });
  await expect(cell.getByText('unhealthy')).toBeHidden();
  await expect(cell.getByText('running')).toBeVisible();
});

test('the buttons of a row are in sight in a window of any width', async ({ page, enter }) => {
  await page.setViewportSize({ width: 1920, height: 700 });
  await enter();
  await expect(rowOf(page, 'web:bob').getByRole('button')).toHaveCount(2);
  // Just before and after each width at which columns go, with both rails, and what is usual.
  for (const width of [720, 768, 808, 849, 860, 1012, 1023, 1024, 1140, 1180, 1199, 1201, 1358, 1362, 1440]) {
    await page.setViewportSize({ width, height: 700 });
    await expect.poll(() => tooWide(page), `at ${width} px`).toEqual([]);
    const text = await tableOf(page).locator('.head').innerText();
    expect(text).toMatch(/Instance[^]*Status[^]*Memory[^]*CPU[^]*Req\/s[^]*Errors/);
  }
  await page.setViewportSize({ width: 720, height: 700 });
  await rowOf(page, 'web:bob').getByRole('button', { name: 'Stop web:bob' }).click({ trial: true });
});

test('a phone shows no figures of one that has none', async ({ page, enter }) => {
  await withoutSockets(page);
  await page.route('**/api/overview?*', async (route) => {
    const row = {
      ...{ service: 'web', health: 'unknown', reason: null, since: Date.now(), rps: 0, eps: 0, requests: 0 },
      ...{ errors: 0, restarts: 0, last_wake: null, wake_ms: null, spark: [] },
    };
    const instances = [
      { ...row, instance: 'web:new', id: 'new', status: 'starting', memory_mb: null, cpu_percent: null },
      { ...row, instance: 'web:old', id: 'old', status: 'running', memory_mb: 20, cpu_percent: 3 },
    ];
    const body = `${JSON.stringify({ type: 'snapshot', at: Date.now(), instances, more: false })}\n`;
    await route.fulfill({ contentType: 'application/x-ndjson', body });
  });
  await page.setViewportSize({ width: 390, height: 700 });
  await enter();
  await expect(rowOf(page, 'web:old').locator('.figures')).toHaveText(/20.0 MB\s*3.0% CPU\s*0\/s/);
  await expect(rowOf(page, 'web:new').locator('.figures')).not.toContainText(/–|CPU|\/s/);
});

test('names of any length fit, and leave room for who is signed in', async ({ page, ten, enter }) => {
  const id = 'l'.repeat(63);
  await ten.spawn('web', id);
  await page.setViewportSize({ width: 900, height: 700 });
  const token = await ten.newToken(['read'], { instance: `web:${id}` });
  await enter(`/instances/web/${id}`, token);
  await expect(page.getByRole('region', { name: 'State' })).toBeVisible();
  const name = page.getByRole('banner').getByText('test', { exact: true });
  const isWhole = (): Promise<boolean> => name.evaluate((one) => one.scrollWidth <= one.clientWidth);
  expect(await isWhole()).toBe(true);
  await go(page, `/instances/web/${'x'.repeat(5000)}`);
  await expect(page.getByRole('heading', { name: /is not known$/ })).toBeVisible();
  for (const width of [320, 900, 1024]) {
    await page.setViewportSize({ width, height: 700 });
    await expect.poll(() => tooWide(page)).toEqual([]);
    if (width > 320) expect(await isWhole()).toBe(true);
  }
  await ten.api('DELETE', `/api/instances/web/${id}?purge=true`);
});

test('dark as the system is', async ({ page, enter }) => {
  await page.emulateMedia({ colorScheme: 'dark' });
  await enter();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  const [red] = await page.evaluate(
    () => getComputedStyle(document.body).backgroundColor.match(/\d+/g)?.map(Number) ?? [255],
  );
  expect(red).toBeLessThan(64);
});

test('a phone of 320 pixels shows all without scrolling sideways', async ({ page, enter }) => {
  await page.setViewportSize({ width: 320, height: 640 });
  await enter();
  await expect(rowOf(page, 'web:alice')).toBeVisible();
  const sideways = await page.evaluate(() =>
    [document.documentElement, document.getElementById('content')].map(
      (one) => one !== null && one.scrollWidth > one.clientWidth,
    ),
  );
  expect(sideways).toEqual([false, false]);
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByRole('dialog').getByRole('link', { name: 'Host' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Host');
});

test('it is fit for all', async ({ page, enter }) => {
  await enter();
  await expect(rowOf(page, 'web:alice')).toBeVisible();
  await isFitForAll(page);
});
