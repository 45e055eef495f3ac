import type { Page } from '@playwright/test';
import { expect, go, isFitForAll, see, test, withoutSockets } from './fixtures';

test.beforeEach(async ({ ten }) => {
  await ten.becomes('web', 'alice', 'running');
});

test('state, figures, address and configuration of one instance', async ({ page, ten, enter }) => {
  await ten.visit('web', 'alice', '/hello');
  await enter('/instances/web/alice');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('web:alice');
  const state = page.getByRole('region', { name: 'State' });
  await expect(state).toContainText('running');
  await expect(state.getByRole('link')).toHaveAttribute('href', /^http:\/\/alice\.web\.localhost:\d+\/$/);
  await expect(page.getByRole('log', { name: 'Its log' })).toContainText('GET /hello 200');
  await page.getByRole('tab', { name: 'Configuration' }).click();
  await expect(page.getByRole('table', { name: 'Configuration in effect' })).toContainText('/health');
  expect(page.url()).toContain('tab=config');
  // The tabs are one stop, and arrows go between them.
  await page.keyboard.press('ArrowRight');
  const env = page.getByRole('table', { name: 'Environment' });
  await expect(env).toContainText('GREETING');
  await expect(env).toContainText('*** hidden');
  await expect(page.locator('body')).not.toContainText('do-not-show-me');
});

test('a crash is told as it happens, with its code and its last lines', async ({ page, ten, enter }) => {
  await ten.spawn('web', 'frail');
  await enter('/instances/web/frail');
  const timeline = page.getByRole('list', { name: 'What happened, the newest first' });
  await expect(timeline).toContainText('Started by hand');
  await ten.visit('web', 'frail', '/crash?code=7');
  await expect(timeline).toContainText('Crashed');
  await expect(timeline).toContainText('exited with code 7');
  await expect(timeline).toContainText('FATAL about to fall over');
  await ten.api('DELETE', '/api/instances/web/frail?purge=true');
  await expect(page.getByRole('heading', { name: 'web:frail is not known' })).toBeVisible();
});

test('it sleeps, and a request wakes it, without a reload of the page', async ({ page, ten, enter }) => {
  await ten.becomes('naps', 'nora', 'sleeping');
  await enter('/instances/naps/nora');
  const state = page.getByRole('region', { name: 'State' });
  await expect(state).toContainText('sleeping');
  await expect(state).toContainText('idle for 1 s');
  await ten.visit('naps', 'nora');
  await expect(page.getByText('Woken by a request').first()).toBeVisible();
});

test('status and figures come by the stream, and need no question to the daemon', async ({
  page,
  ten,
  enter,
}) => {
  await ten.spawn('web', 'told');
  await ten.becomes('web', 'told', 'running');
  await enter('/instances/web/told');
  const state = page.getByRole('region', { name: 'State' });
  const requests = state
    .locator('div')
    .filter({ has: page.getByText('Requests', { exact: true }) })
    .last();
  await expect(requests).toContainText('0/s');
  await page.route(/\/api\/(instances|metrics)\//, () => {});
  await ten.visit('web', 'told');
  await expect(requests).toContainText('1 ·');
  await ten.api('POST', '/api/instances/web/told/stop');
  await expect(state.getByText('stopped', { exact: true })).toBeVisible();
  const timeline = page.getByRole('list', { name: 'What happened, the newest first' });
  await expect(timeline).toContainText('Stopped');
  await ten.api('DELETE', '/api/instances/web/told?purge=true');
});

test('what is in effect is asked for once, however often its figures change', async ({
  page,
  ten,
  enter,
}) => {
  await ten.spawn('web', 'effect');
  await ten.becomes('web', 'effect', 'running');
  const asked: string[] = [];
  page.on('request', (one) => one.url().endsWith('/effect/config') && asked.push(one.url()));
  await enter('/instances/web/effect?tab=config');
  await expect(page.getByRole('table', { name: 'Configuration in effect' })).toContainText('/health');
  const requests = page
    .getByRole('region', { name: 'State' })
    .locator('div')
    .filter({ has: page.getByText('Requests', { exact: true }) })
    .last();
  for (const n of [1, 2]) {
    await ten.visit('web', 'effect');
    await expect(requests).toContainText(`${n} ·`);
  }
  expect(asked.length).toBe(1);
  const again = page.waitForRequest(/effect\/config$/, { timeout: 15_000 });
  await ten.api('POST', '/api/instances/web/effect/restart');
  await again;
  await ten.api('DELETE', '/api/instances/web/effect?purge=true');
});

test('the page hears of its own instance only, whatever the case of its name', async ({ page, enter }) => {
  await enter();
  const asked: string[] = [];
  page.on('websocket', (one) => one.url().includes('/api/overview') && asked.push(one.url()));
  await go(page, '/instances/web/Alice');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('web:alice');
  const state = page.getByRole('region', { name: 'State' });
  await expect(state).toContainText(/Requests\s*\d+ ·/);
  await expect.poll(() => asked.length).toBe(1);
  expect(asked[0]).toContain('?instance=web%3Aalice&');
});

test('while the stream is lost, what is asked for is believed', async ({ page, ten, enter }) => {
  await ten.spawn('web', 'lost');
  await withoutSockets(page);
  await enter();
  // One answer that ends, and none after it.
  await page.route('**/api/overview?*', (route) => route.abort());
  await page.route(
    '**/api/overview?instance=*',
    async (route) => {
      const { instances } = await ten.api<object & { instances: object[] }>(
        'GET',
        '/api/overview?instance=web:lost',
      );
      const body = JSON.stringify({ type: 'snapshot', at: Date.now(), more: false, instances });
      await route.fulfill({ contentType: 'application/x-ndjson', body: `${body}\n` });
    },
    { times: 1 },
  );
  await go(page, '/instances/web/lost');
  const state = page.getByRole('region', { name: 'State' });
  await expect(state.getByText('running', { exact: true })).toBeVisible();
  await expect(page.getByText('The connection is lost')).toBeVisible();
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await expect(state.getByText('stopped', { exact: true })).toBeVisible();
  await ten.api('DELETE', '/api/instances/web/lost?purge=true');
});

test('one that is gone is said to be, also where nothing else is answered', async ({ page, ten, enter }) => {
  await ten.spawn('web', 'leaves');
  await enter('/instances/web/leaves');
  await expect(page.getByRole('region', { name: 'State' })).toContainText(/Requests\s*\d+ ·/);
  await page.route('**/api/instances/**', (route) =>
    route.fulfill({
      status: 429,
      headers: { 'Retry-After': '1800' },
      json: { error: 'rate_limited', message: 'Too many', status: 429 },
    }),
  );
  await ten.api('DELETE', '/api/instances/web/leaves?purge=true');
  await expect(page.getByRole('heading', { name: 'web:leaves is not known' })).toBeVisible();
});

test('one that came while its page was opened is shown', async ({ page, ten, enter }) => {
  await withoutSockets(page);
  await enter();
  let tell = (): void => {};
  const held = new Promise<void>((resolve) => (tell = resolve));
  await page.route('**/api/overview?instance=*', async (route) => {
    await held;
    await route.continue();
  });
  await go(page, '/instances/web/born');
  await expect(page.getByRole('heading', { name: 'web:born is not known' })).toBeVisible();
  await ten.spawn('web', 'born');
  tell();
  await expect(page.getByRole('region', { name: 'State' })).toContainText('running');
  await ten.api('DELETE', '/api/instances/web/born?purge=true');
});

test('stop, start and restart, by button and by key', async ({ page, ten, enter }) => {
  await ten.spawn('web', 'deeds');
  await enter('/instances/web/deeds');
  const state = page.getByRole('region', { name: 'State' });
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  // What is said for some seconds only is looked for first.
  await expect(page.getByText('web:deeds is stopped')).toBeVisible();
  await expect(state.getByText('stopped', { exact: true })).toBeVisible();
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await expect(page.getByText('web:deeds runs')).toBeVisible();
  await expect(state.getByText('running', { exact: true })).toBeVisible();
  // A key is easily hit by mistake, and a sequence that leads nowhere is none.
  // Both at once: what comes later is no sequence.
  await page.evaluate(() => {
    for (const key of ['g', 'r'])
      document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
  });
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await page.keyboard.press('r');
  await page.getByRole('dialog').getByRole('button', { name: 'Restart' }).click();
  await expect(page.getByText('web:deeds was restarted')).toBeVisible();
  await ten.api('DELETE', '/api/instances/web/deeds?purge=true');
});

test('a row of the overview offers what the page of its instance does', async ({ page, ten, enter }) => {
  const states = {
    failed: ['Start'],
    stopping: [],
    sleeping: ['Start', 'Stop'],
    starting: ['Restart', 'Stop'],
  };
  await withoutSockets(page);
  await page.route('**/api/overview?*', async (route) => {
    const { instances } = await ten.api<{ instances: object[] }>('GET', '/api/overview?instance=web:bob');
    const rows = Object.keys(states).map((status) => ({
      ...instances[0],
      ...{ instance: `web:${status}`, id: status, status },
    }));
    const message = { type: 'snapshot', at: Date.now(), more: false, instances: rows };
    await route.fulfill({ contentType: 'application/x-ndjson', body: `${JSON.stringify(message)}\n` });
  });
  await enter();
  for (const [status, offered] of Object.entries(states)) {
    const buttons = page
      .getByRole('row')
      .filter({ hasText: `web:${status}` })
      .locator('button:enabled');
    await expect(buttons).toHaveCount(offered.length);
    expect(await buttons.evaluateAll((all) => all.map((one) => one.getAttribute('title')))).toEqual(offered);
  }
});

test('delete asks, and erasing wants the name typed', async ({ page, ten, enter }) => {
  await ten.spawn('web', 'gone');
  await enter('/instances/web/gone');
  await page.getByRole('button', { name: 'More actions' }).click();
  await page.getByRole('menuitem', { name: /Erase everything/ }).click();
  const dialog = page.getByRole('dialog');
  const erase = dialog.getByRole('button', { name: 'Erase everything' });
  await expect(erase).toBeDisabled();
  await dialog.getByRole('textbox').fill('web:gone');
  await erase.click();
  await expect(page.getByRole('heading', { name: 'web:gone is not known' })).toBeVisible();
  await expect(ten.api('GET', '/api/instances/web/gone')).rejects.toThrow('404');
});

test('what is erased is not shown on, neither where it is gone nor in its next life', async ({
  page,
  ten,
  enter,
}) => {
  await ten.spawn('web', 'lives');
  await ten.visit('web', 'lives', '/print?text=of-the-first');
  await enter('/instances/web/lives');
  const log = page.getByRole('log', { name: 'Its log' });
  const timeline = page.getByRole('list', { name: 'What happened, the newest first' });
  await expect(log).toContainText('of-the-first');
  await expect(timeline).toContainText('Ready');
  await ten.api('DELETE', '/api/instances/web/lives?purge=true');
  await expect(page.getByRole('heading', { name: 'web:lives is not known' })).toBeVisible();
  await expect(timeline).toHaveCount(0);
  await ten.spawn('web', 'lives');
  await expect(timeline.getByText('Ready')).toHaveCount(1);
  // One that follows so fast that nobody was told of the end before it.
  await page.route('**/api/instances/web/lives', async (route) => {
    const response = await route.fetch();
    const json = { ...(await response.json()), created_at: '2020-01-01T00:00:00Z' };
    await route.fulfill({ response, json });
  });
  await ten.visit('web', 'lives', '/print?text=of-the-second');
  await expect(log).toContainText('of-the-second');
  await log.evaluate((one) => (one.id = 'before'));
  await ten.api('POST', '/api/instances/web/lives/stop');
  await expect(page.locator('#before')).toHaveCount(0);
  await expect(log).toContainText('of-the-second');
  await page.unroute('**/api/instances/web/lives');
  await ten.api('DELETE', '/api/instances/web/lives?purge=true');
});

test('a read token sees no buttons, a tenant’s token nothing of others', async ({ page, ten, enter }) => {
  await enter('/instances/web/alice', await ten.newToken(['read'], { instance: 'web:alice' }));
  await expect(page.getByRole('region', { name: 'State' })).toContainText('running');
  for (const name of ['Restart', 'Stop', 'More actions'])
    await expect(page.getByRole('button', { name })).toHaveCount(0);
  await go(page, '/instances/web/bob');
  await expect(page.getByRole('heading', { name: 'web:bob is not known' })).toBeVisible();
});

test('what is written in lines and variables stays text', async ({ page, ten, enter }) => {
  const attack = '<img src=x onerror="document.title=1">';
  await ten.spawn('web', 'hostile', { GREETING: attack });
  await ten.visit('web', 'hostile', `/print?text=${encodeURIComponent(attack)}`);
  await enter('/instances/web/hostile');
  await expect(page.getByRole('log', { name: 'Its log' })).toContainText(attack);
  await page.getByRole('tab', { name: 'Environment' }).click();
  await expect(page.getByRole('table', { name: 'Environment' })).toContainText(attack);
  await expect(page.locator('main img')).toHaveCount(0);
  await expect(page).toHaveTitle('web:hostile · tenement');
  await ten.api('DELETE', '/api/instances/web/hostile?purge=true');
});

test('the range of the plots is in the address', async ({ page, enter }) => {
  await enter('/instances/web/alice');
  await expect(page.locator('.u-over')).toHaveCount(4);
  await page.getByText('Week', { exact: true }).click();
  // As much of a week as a young instance has.
  await expect(page.getByRole('heading', { name: 'Last 14h' })).toBeVisible();
  expect(page.url()).toContain('range=7d');
});

test('plots stay the same elements when the window changes, and say when they could not be loaded', async ({
  page,
  enter,
}) => {
  await enter('/instances/web/alice');
  await expect(page.locator('.u-over')).toHaveCount(4);
  const plot = page.locator('.uplot').first();
  await plot.evaluate((one) => (one.id = 'same'));
  const before = (await plot.boundingBox())!.width;
  await page.setViewportSize({ width: 1200, height: 900 });
  await expect.poll(async () => (await plot.boundingBox())!.width).not.toBe(before);
  await expect(plot).toHaveAttribute('id', 'same');
  await page.route(/uPlot/, (route) => route.abort());
  await page.reload();
  await expect(page.getByText('The plot could not be loaded')).toHaveCount(4);
});

/** Counts what is drawn: shades, and how often anything is. */
async function countDrawn(page: Page): Promise<(what: 'steps' | 'shades' | 'drawn') => Promise<number>> {
  await page.addInitScript(() => {
    const seen = Object.assign(window, { steps: 0, shades: 0, drawn: 0 });
    const { fillRect, clearRect } = CanvasRenderingContext2D.prototype;
    Object.assign(CanvasRenderingContext2D.prototype, {
      fillRect(this: CanvasRenderingContext2D, x: number, y: number, w: number, h: number) {
        seen.shades += 1;
        fillRect.call(this, x, y, w, h);
      },
      clearRect(this: CanvasRenderingContext2D, x: number, y: number, w: number, h: number) {
        seen.drawn += 1;
        clearRect.call(this, x, y, w, h);
      },
    });
  });
  return (what) => page.evaluate((name) => (window as unknown as Record<string, number>)[name], what);
}

test('one that runs is not drawn as if it did not, however little is measured yet', async ({
  page,
  enter,
}) => {
  const of = await countDrawn(page);
  await page.route(/\/api\/metrics\/.*\/history/, async (route) => {
    const end = Date.now();
    const times = Array.from({ length: 360 }, (_, n) => end - (360 - n) * 10_000);
    const none = times.map(() => null);
    const json = {
      ...{ instance: 'web:alice', interval_ms: 10_000, times, memory_mb: none, cpu_percent: none },
      ...{ requests_per_second: none, errors_per_second: none },
      ...{ latency_p50_ms: none, latency_p95_ms: none },
    };
    await route.fulfill({ json });
  });
  // Spawned a moment ago.
  await page.route('**/api/instances/web/alice', async (route) => {
    const response = await route.fetch();
    const json = { ...(await response.json()), created_at: new Date().toISOString() };
    await route.fulfill({ response, json });
  });
  await enter('/instances/web/alice');
  await expect(page.locator('.u-over')).toHaveCount(4);
  await expect.poll(() => of('drawn')).toBeGreaterThan(4);
  expect(await of('shades')).toBe(0);
});

test('curves go on by the stream with no grey while somebody sees the page, and not else', async ({
  page,
  enter,
}) => {
  const of = await countDrawn(page);
  // As fast as the history below: a step of 1 s instead of 10.
  await page.addInitScript(() => {
    const real = window.setInterval as (run: () => void, ms?: number) => number;
    const seen = window as unknown as { steps: number };
    const step = (run: () => void) => () => void (run(), (seen.steps += 1));
    Object.assign(window, {
      setInterval: (run: () => void, ms?: number) => (ms === 10_000 ? real(step(run), 200) : real(run, ms)),
    });
  });
  await page.route(/\/api\/metrics\/.*\/history/, async (route) => {
    const last = Math.floor(Date.now() / 1000) * 1000;
    const times = Array.from({ length: 60 }, (_, n) => last - (59 - n) * 1000);
    // The last interval goes on.
    const all = (value: number): (number | null)[] => times.map((at) => (at === last ? null : value));
    const json = {
      ...{ instance: 'web:alice', interval_ms: 1000, times, memory_mb: all(500), cpu_percent: all(1) },
      ...{ requests_per_second: all(1), errors_per_second: all(0) },
      ...{ latency_p50_ms: all(1), latency_p95_ms: all(2) },
    };
    await route.fulfill({ json });
  });
  await enter('/instances/web/alice');
  const memory = page.getByRole('figure').filter({ hasText: 'Memory' });
  await expect(memory).toContainText(/\d\.\d MB/);
  const on = await of('drawn');
  await expect.poll(() => of('drawn')).toBeGreaterThan(on + 8);
  expect(await of('shades')).toBe(0);
  await see(page, false);
  const [began, before] = [await of('steps'), await of('drawn')];
  await expect.poll(() => of('steps')).toBeGreaterThan(began + 20);
  expect(await of('drawn')).toBe(before);
});

test('errors are drawn where there are some, not over requests that had none', async ({ page, enter }) => {
  let errors = 0;
  await page.route(/\/api\/metrics\/.*\/history/, async (route) => {
    const end = Date.now();
    const times = Array.from({ length: 30 }, (_, n) => end - (30 - n) * 10_000);
    const all = (value: number): number[] => times.map(() => value);
    const json = {
      ...{ instance: 'web:alice', interval_ms: 10_000, times, memory_mb: all(20), cpu_percent: all(1) },
      ...{ requests_per_second: all(errors), errors_per_second: all(errors) },
      ...{ latency_p50_ms: all(1), latency_p95_ms: all(2) },
    };
    await route.fulfill({ json });
  });
  await page.route(/\/api\/events/, (route) => route.abort());
  await page.emulateMedia({ colorScheme: 'light' });
  await enter('/instances/web/alice');
  const plot = page.getByRole('figure').filter({ hasText: 'Requests' });
  const tones = (): Promise<string> =>
    plot.locator('canvas').evaluate((canvas: HTMLCanvasElement) => {
      const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
      const found = new Set<string>();
      for (let i = 0; i < data.length; i += 4) {
        const [red, , blue, alpha] = data.slice(i, i + 4);
        if (alpha > 200 && red - blue > 100) found.add('red');
        if (alpha > 200 && blue - red > 100) found.add('blue');
      }
      return [...found].sort().join();
    });
  await expect(plot).toContainText('errors 0/s');
  await expect.poll(tones).toBe('blue');
  errors = 1;
  await page.reload();
  await expect(plot).toContainText('errors 1.0/s');
  await expect.poll(tones).toContain('red');
});

test('it is fit for all', async ({ page, enter }) => {
  // So much happened that it has to be scrolled.
  await page.route(/\/api\/events\?(?!.*follow)/, async (route) => {
    const response = await route.fetch();
    const found = (await response.json()) as { events: object[] };
    const events = Array.from({ length: 40 }, (_, n) => ({ ...found.events[0], id: n + 1 }));
    await route.fulfill({ response, json: { ...found, events } });
  });
  await enter('/instances/web/alice');
  const timeline = page.getByRole('list', { name: 'What happened, the newest first' });
  await expect.poll(() => timeline.evaluate((one) => one.scrollHeight > one.clientHeight)).toBe(true);
  await expect(page.locator('.u-over')).toHaveCount(4);
  await isFitForAll(page);
});
