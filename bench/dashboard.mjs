// The dashboard in Debian's Chromium, from a release build: first paint and usable list, frames while scrolling, searches as one types.
// Needs `make dashboard` (its node_modules has playwright). Usage: node bench/dashboard.mjs [--ten FILE] [--lines 2000000]
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const { chromium } = createRequire(join(root, 'dashboard/package.json'))('@playwright/test');
const { values: options } = parseArgs({
  options: {
    ten: { type: 'string', default: join(root, 'target/release/ten') },
    lines: { type: 'string', default: '2000000' },
    port: { type: 'string', default: '8846' },
  },
});
const TOKEN = 'tenement_of_the_bench';
const URL_ = `http://127.0.0.1:${options.port}`;
const folder = mkdtempSync(join(tmpdir(), 'ten-bench-'));
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const median = (all) => all.toSorted((a, b) => a - b)[all.length >> 1];
const at = (all, part) => all.toSorted((a, b) => a - b)[Math.min(Math.floor(all.length * part), all.length - 1)];

/** `ten serve` with this configuration while `work` goes on. */
async function serving(config, work) {
  writeFileSync(join(folder, 'tenement.toml'), config);
  const ten = spawn(options.ten, ['serve', '--quiet', '--host', '127.0.0.1', '--port', options.port, '--token', TOKEN, '--data-dir', 'data'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = new Promise((done) => ten.on('exit', done));
  await new Promise((ready) => ten.stdout.on('data', (text) => String(text).includes('ready') && ready()));
  try {
    await work();
  } finally {
    ten.kill('SIGTERM');
    await ended;
    rmSync(join(folder, 'data'), { recursive: true, force: true });
  }
}

function api(method, path, body) {
  const headers = { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' };
  return fetch(URL_ + path, { method, headers, body: body && JSON.stringify(body) }).then((answer) => answer.json());
}

async function page(browser) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  await context.addInitScript((token) => sessionStorage.setItem('tenement.token', token), TOKEN);
  return context.newPage();
}

const ids = (count, prefix) => Array.from({ length: count }, (_, n) => `"${prefix}${n}"`).join(', ');
const apps = (asleep, awake) => `[settings]
[service.app]
command = "${folder}/app"
[service.nap]
command = "${folder}/app"
autostart = false
[instances]
app = [${ids(awake, 'a')}]
nap = [${ids(asleep, 'n')}]
`;

async function running(count) {
  for (;;) {
    const { services } = await api('GET', '/api/services');
    if (services.find((one) => one.name === 'app').instances.running >= count) return;
    await pause(200);
  }
}

/** Milliseconds after the HTML: first contentful paint, and the first row of the list. */
async function paint(browser) {
  const painted = [];
  const usable = [];
  for (let round = 0; round < 7; round++) {
    const one = await page(browser);
    await one.addInitScript(() => {
      new MutationObserver((_, watch) => {
        if (!document.querySelector('[role=row][aria-rowindex="2"]')) return;
        watch.disconnect();
        requestAnimationFrame(() => (window.usable = performance.now()));
      }).observe(document, { childList: true, subtree: true });
    });
    await one.goto(`${URL_}/`);
    await one.waitForFunction(() => window.usable && performance.getEntriesByName('first-contentful-paint').length);
    const [html, first, list] = await one.evaluate(() => [
      performance.getEntriesByType('navigation')[0].responseEnd,
      performance.getEntriesByName('first-contentful-paint')[0].startTime,
      window.usable,
    ]);
    painted.push(first - html);
    usable.push(list - html);
    await one.context().close();
  }
  console.log(`1,000 instances, ms after the HTML: first paint ${median(painted).toFixed(0)} (max ${at(painted, 1).toFixed(0)}), list ${median(usable).toFixed(0)} (max ${at(usable, 1).toFixed(0)})`);
}

/** Frames while somebody scrolls, and rows change by requests to many instances. */
async function scroll(browser, awake, rate) {
  const agent = new Agent({ keepAlive: true, maxSockets: 20 });
  let next = 0;
  const asking = setInterval(() => {
    const headers = { Host: `a${next++ % awake}.app.localhost` };
    request({ host: '127.0.0.1', port: options.port, headers, agent }, (answer) => answer.resume()).on('error', () => {}).end();
  }, 1000 / rate);
  const one = await page(browser);
  await one.goto(`${URL_}/`);
  await one.waitForSelector('[role=row][aria-rowindex="2"]');
  await pause(5000);
  const said = await wheeled(one, 400, 50);
  clearInterval(asking);
  agent.destroy();
  console.log(`10,000 instances, ${rate} rows a second change, scrolling: ${said}`);
  await one.context().close();
}

/** Frames while a wheel turns 100 times by so many pixels, and back; what is over a bound counts. */
async function wheeled(one, by, bound) {
  await one.evaluate(() => {
    window.frames_ = [];
    window.tasks = [];
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => window.tasks.push(entry.duration))).observe({ type: 'longtask' });
    let last = performance.now();
    const look = (now) => {
      window.frames_.push(now - last);
      last = now;
      requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
  await one.mouse.move(700, 500);
  for (let turn = 0; turn < 200; turn++) {
    await one.mouse.wheel(0, turn < 100 ? by : -by);
    await pause(50);
  }
  const [frames, tasks] = await one.evaluate(() => [window.frames_, window.tasks]);
  const over = (all) => all.filter((took) => took > bound).length;
  return `${frames.length} frames, p50 ${median(frames).toFixed(1)} ms, p95 ${at(frames, 0.95).toFixed(0)}, max ${at(frames, 1).toFixed(0)}; over ${bound} ms ${over(frames)}; tasks over ${bound} ms ${over(tasks)}`;
}

/** From a key to results on the screen. */
async function search(browser) {
  const one = await page(browser);
  await one.goto(`${URL_}/#/logs`);
  await one.getByRole('listitem').last().waitFor();
  await pause(3000);
  await one.evaluate(() => {
    window.found = [];
    let typed = 0;
    let text = '';
    document.querySelector('input[data-search]').addEventListener('input', (event) => ([typed, text] = [performance.now(), event.target.value]), true);
    new PerformanceObserver((list) => {
      for (const entry of list.getEntriesByName('logs:search')) window.found.push([text, entry.startTime + entry.duration - typed]);
    }).observe({ type: 'measure' });
  });
  for (const word of ['request', 'timeout upstream', 'refused', 'webhook', 'connection to', 'n=0012345', 'customer', 'ledger 503']) {
    await one.locator('input[data-search]').fill('');
    await pause(1500);
    for (const letter of word) {
      await one.keyboard.type(letter);
      await pause(180);
    }
    await pause(900);
  }
  await one.locator('input[data-search]').fill('');
  await pause(1500);
  console.log(`${options.lines} lines, scrolling up and down in them: ${await wheeled(one, -400, 100)}`);
  const took = (await one.evaluate(() => window.found)).filter(([text]) => text !== '').map(([, ms]) => ms);
  console.log(`${options.lines} lines, key to results: n ${took.length}, p50 ${median(took).toFixed(0)} ms, p95 ${at(took, 0.95).toFixed(0)}, max ${at(took, 1).toFixed(0)}`);
  await one.context().close();
}

const PRINTER = `import random, sys, time
words = "request cache queue session invoice upload customer retry timeout upstream migration webhook checkout ledger refund".split()
dice = random.Random(sys.argv[1])
for n in range(int(sys.argv[2])):
    if n % 50000 == 77: print(f"ERROR db: connection to the database refused after 3 attempts n={n:07}")
    else: print(f"INFO GET /v1/orders/{dice.randrange(100000)} {dice.choice((200, 200, 200, 503))} {dice.choice(words)} {dice.choice(words)} n={n:07}")
sys.stdout.flush()
time.sleep(1e6)
`;

try {
  execFileSync('cc', ['-O2', '-o', join(folder, 'app'), join(root, 'bench/app.c')]);
  writeFileSync(join(folder, 'printer.py'), PRINTER);
  const executablePath = execFileSync('which', ['chromium'], { encoding: 'utf8' }).trim();
  const browser = await chromium.launch({ executablePath, args: process.getuid() === 0 ? ['--no-sandbox'] : [] });
  await serving(apps(980, 20), async () => {
    await running(20);
    await paint(browser);
  });
  await serving(apps(9800, 200), async () => {
    await running(200);
    await scroll(browser, 200, 100);
  });
  const each = Math.ceil(Number(options.lines) / 4);
  const printers = `[settings]\n[service.talk]\ncommand = "python3 ${folder}/printer.py {id} ${each}"\nstartup_timeout = 600\n[instances]\ntalk = ["a", "b", "c", "d"]\n`;
  await serving(printers, async () => {
    for (;;) {
      const { total } = await api('POST', '/api/logs/search', { query: 'n=', limit: 1 });
      const { unindexed_bytes: left } = await api('GET', '/api/logs/retention');
      if (total >= 4 * each && left < 16e6) break;
      await pause(1000);
    }
    await search(browser);
  });
  await browser.close();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
