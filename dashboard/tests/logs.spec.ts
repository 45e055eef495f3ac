import { expect, go, isFitForAll } from './fixtures';
import { isSettled, list, numbers, rows, say, search, test, withoutGap } from './talker';

test.use({ permissions: ['clipboard-read', 'clipboard-write'] });

test('lines arrive by themselves, with their levels and colours', async ({ page, ten, enter }) => {
  await enter('/logs?instance=talker:live');
  await expect(page.getByText('Nothing found')).toBeVisible();
  await ten.spawn('talker', 'live');
  await say(ten, 'live', 'INFO hello\n\x1b[31mred\x1b[0m and \x1b[38;2;1;2;3mown\x1b[0m\nERROR it broke\n');
  await expect(rows(page)).toHaveCount(3);
  await expect(rows(page).nth(2)).toContainText('it broke');
  await expect(rows(page).nth(2).locator('.level')).toHaveText('error');
  await expect(rows(page).nth(1).locator('.text')).toHaveText('red and own');
  await expect(rows(page).nth(1).locator('.f1')).toHaveText('red');
  await say(ten, 'live', 'one more\n');
  await expect(rows(page).last()).toContainText('one more');
  await expect(page.getByRole('button', { name: /^error/ })).toContainText('1');
});

test('nothing is lost while it is paused, and nothing comes twice', async ({ page, ten, enter }) => {
  await ten.spawn('talker', 'paused');
  await say(ten, 'paused', 'begin\n');
  await enter('/logs?instance=talker:paused');
  // The first page is there: what comes now comes by the stream, from its beginning.
  await expect(rows(page).last()).toContainText('begin');
  await ten.visit('talker', 'paused', '/run');
  await expect(rows(page).last()).toContainText('run ');
  await page.keyboard.press('p');
  const button = page.getByRole('button', { name: /Go on/ });
  await expect(button).toContainText(/\d{3} new|\d,\d{3} new/);
  const still = await rows(page).last().innerText();
  await ten.visit('talker', 'paused', '/stop');
  expect(await rows(page).last().innerText()).toBe(still);
  await button.click();
  await expect(rows(page).last()).toContainText('run ended after');
  withoutGap(await numbers(page));
  expect((await numbers(page))[0]).toBe(0);
});

test('more than is kept while it waits is asked for again', async ({ page, ten, enter }) => {
  await ten.spawn('talker', 'many');
  await say(ten, 'many', 'begin\n');
  await enter('/logs?instance=talker:many');
  await expect(rows(page).last()).toContainText('begin');
  await page.keyboard.press('p');
  await ten.visit('talker', 'many', '/count?n=30000');
  await expect(page.getByRole('button', { name: 'Go on: 20,000+ new' })).toBeVisible();
  await page.getByRole('button', { name: 'Go on: 20,000+ new' }).click();
  await expect(rows(page).last()).toContainText('count 29999');
  const found = await numbers(page);
  withoutGap(found);
  expect(found.length).toBeGreaterThan(15_000);
  expect(found.at(-1)).toBe(29_999);
});

// faults: U5
test('older lines come by scrolling up, to the first one', async ({ page, ten, enter }) => {
  await ten.spawn('talker', 'old');
  await ten.visit('talker', 'old', '/count?n=2500');
  await enter('/logs?instance=talker:old');
  await expect(rows(page).last()).toContainText('count 2499');
  await expect(async () => {
    await list(page).evaluate((one) => (one.scrollTop = 0));
    await expect(page.getByText('The first line')).toBeVisible({ timeout: 500 });
  }).toPass();
  expect(await numbers(page)).toEqual(Array.from({ length: 2500 }, (_, i) => i));
  // What comes meanwhile does not move what is read.
  await list(page).evaluate((one) => (one.scrollTop = 400));
  await isSettled(page);
  const seen = await rows(page).nth(12).innerText();
  await ten.visit('talker', 'old', '/count?n=10&from=2500');
  await expect(page.getByRole('button', { name: '10 new lines' })).toBeVisible();
  expect(await rows(page).nth(12).innerText()).toBe(seen);
  await page.getByRole('button', { name: '10 new lines' }).click();
  await expect(rows(page).last()).toContainText('count 2509');
});

test('what was read is in its place after a look at the lines around one, and the newest are a click away', async ({
  page,
  ten,
  enter,
}) => {
  await ten.spawn('talker', 'back');
  await ten.visit('talker', 'back', '/count?n=400');
  await enter('/logs?instance=talker:back');
  await expect(rows(page).last()).toContainText('count 399');
  for (let i = 0; i < 3; i++) await page.keyboard.press('k');
  await list(page).evaluate((one) => (one.scrollTop = 1500));
  await isSettled(page);
  const first = (): Promise<string> =>
    list(page).evaluate((one) => {
      const { top } = one.getBoundingClientRect();
      const rows = [...one.querySelectorAll<HTMLElement>('[data-ord]')];
      return rows.find((row) => row.getBoundingClientRect().bottom > top + 1)?.innerText ?? '';
    });
  await expect(page.getByRole('button', { name: 'To the newest' })).toBeVisible();
  const before = await first();
  await page.keyboard.press('c');
  await expect(list(page)).toHaveAccessibleName(/^Lines around/);
  await page.keyboard.press('Escape');
  await expect(list(page)).toHaveAccessibleName('Lines of the log, the newest last');
  await expect.poll(first).toBe(before);
  await say(ten, 'back', 'one more\n');
  await page.getByRole('button', { name: '1 new line' }).click();
  await expect(rows(page).last()).toContainText('one more');
  await expect(rows(page).last()).toBeInViewport();
  await say(ten, 'back', 'and another\n');
  await expect(rows(page).last()).toContainText('and another');
});

test('Enter is for the link or the button that has the focus', async ({ page, ten, enter }) => {
  await ten.spawn('talker', 'enter');
  await say(ten, 'enter', 'a line\n');
  await enter('/logs?instance=talker:enter');
  await expect(rows(page)).toHaveCount(1);
  await page.keyboard.press('j');
  await page.getByRole('link', { name: 'Events', exact: true }).press('Enter');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Events');
  await page.keyboard.press('j');
  await page.getByRole('link', { name: 'Services', exact: true }).press('Enter');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Services');
});

// faults: U5, G9
test('a daemon that was killed is found again, without a line lost or doubled', async ({
  page,
  ten,
  enter,
}) => {
  await ten.spawn('talker', 'kept');
  await say(ten, 'kept', 'begin\n');
  await enter('/logs?instance=talker:kept');
  await expect(rows(page).last()).toContainText('begin');
  await ten.visit('talker', 'kept', '/run');
  await expect(rows(page).last()).toContainText('run ');
  // What keeps its instances starts it again.
  const { pid } = await ten.api<{ pid: number }>('GET', '/api/status');
  process.kill(pid, 'SIGKILL');
  // That it was lost is shown for a moment only, where the daemon is back at once.
  await expect(page.getByRole('banner').getByRole('status')).toHaveText('Live again', { timeout: 30_000 });
  await expect(page.getByText('The connection is lost.')).toBeHidden();
  await ten.visit('talker', 'kept', '/stop');
  await expect(rows(page).last()).toContainText('run ended after', { timeout: 30_000 });
  const found = await numbers(page);
  withoutGap(found);
  expect(found[0]).toBe(0);
});

test('words and expressions are found and marked', async ({ page, ten, enter }) => {
  await ten.spawn('talker', 'find');
  await say(ten, 'find', 'database ERROR: timeout\nall is well\nslow query took 1234ms\n');
  await enter('/logs?instance=talker:find');
  await search(page).pressSequentially('error data');
  await expect(rows(page)).toHaveCount(1);
  await expect(rows(page).locator('mark')).toHaveText(['data', 'ERROR']);
  await expect(page.getByText('1 line', { exact: true })).toBeVisible();
  expect(page.url()).toContain('q=error+data');
  await page.getByRole('button', { name: 'Regular expression' }).click();
  await search(page).fill('took \\d+ms');
  await expect(rows(page).locator('mark')).toHaveText(['took 1234ms']);
  await search(page).fill('(ab');
  await expect(page.getByRole('alert')).toContainText('unclosed group');
  await expect(search(page)).toHaveAttribute('aria-invalid', 'true');
  await search(page).fill('nothing like it');
  await expect(page.getByText('Nothing found')).toBeVisible();
  await page.getByRole('button', { name: 'Any text' }).click();
  await expect(rows(page)).toHaveCount(3);
  // What is written now is searched as well.
  await page.getByRole('button', { name: 'Regular expression' }).click();
  await search(page).fill('later');
  await expect(page.getByText('Nothing found')).toBeVisible();
  await say(ten, 'find', 'much later\nnot this one\n');
  await expect(rows(page)).toHaveCount(1);
  await expect(rows(page).locator('mark')).toHaveText('later');
});

test('an expression marks long lines too, also those that have to wait for another frame', async ({
  page,
  ten,
  enter,
}) => {
  await ten.spawn('talker', 'regex');
  await say(ten, 'regex', `${`${'xab'.repeat(666)}\n`.repeat(200)}${'ab'.repeat(31_000)}\n`);
  await enter('/logs?instance=talker:regex&q=words');
  await expect(page.getByText('No line matches')).toBeVisible();
  for (const [pattern, found] of Object.entries({ 'ab+': 'ab', '(a|b)*c|a': 'a' })) {
    await go(page, `/logs?instance=talker:regex&re=1&q=${encodeURIComponent(pattern)}`);
    // The lines of this one, not of the one before.
    await expect(rows(page).first().locator('mark').first()).toHaveText(found);
    // Also the lines that had to wait for another frame.
    await expect
      .poll(() => rows(page).evaluateAll((all) => all.filter((one) => !one.querySelector('mark')).length))
      .toBe(0);
    await expect(rows(page).last()).toContainText('show all 62,000');
    await page.getByRole('button', { name: 'show all 62,000' }).click();
    await page.getByRole('button', { name: 'Show less' }).click();
  }
});

test('levels and fields narrow what is shown', async ({ page, ten, enter }) => {
  await ten.spawn('talker', 'narrow');
  await say(
    ten,
    'narrow',
    'INFO fine\nWARN odd\nERROR bad\n{"level":"error","msg":"no","http":{"status":502}}\nINFO done status=200 took=12\n',
  );
  await enter('/logs?instance=talker:narrow');
  await expect(rows(page)).toHaveCount(5);
  await page.getByRole('button', { name: /^error/ }).click();
  await expect(rows(page)).toHaveCount(2);
  await page.getByRole('button', { name: /^warn/ }).click();
  await expect(rows(page)).toHaveCount(3);
  expect(page.url()).toContain('level=warn,error');
  await rows(page).last().getByRole('button', { name: 'Details of the line' }).click();
  await page.getByRole('button', { name: 'Only lines whose http.status is this' }).click();
  await expect(rows(page)).toHaveCount(1);
  await page.getByRole('button', { name: 'http.status=502' }).click();
  await expect(rows(page)).toHaveCount(3);
  await page.getByRole('button', { name: 'Field', exact: true }).click();
  await page.getByLabel('Condition on a field').fill('status');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('alert')).toContainText('is no condition');
});

test('a stretch of the histogram is a range of time, by mouse and by keys', async ({ page, ten, enter }) => {
  await ten.spawn('talker', 'when');
  await say(ten, 'when', 'first\n');
  await enter('/logs?instance=talker:when');
  const plot = page.getByRole('slider', { name: /Lines over time/ });
  await expect(plot).toHaveAttribute('aria-valuetext', 'all lines');
  await plot.focus();
  await page.keyboard.press('Home');
  await expect(plot).toHaveAttribute('aria-valuetext', /1 line/);
  await page.keyboard.press('Enter');
  await expect(page.getByLabel('Range of time')).toHaveValue('own');
  await expect(rows(page)).toHaveCount(1);
  await page.getByTitle('Take the range of time away').click();
  await expect(page.getByLabel('Range of time')).toHaveValue('');
  const box = (await plot.boundingBox())!;
  await page.mouse.move(box.x + 2, box.y + 20);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 2, box.y + 20);
  await page.mouse.up();
  await expect(page.getByLabel('Range of time')).toHaveValue('own');
  await page.getByLabel('Range of time').selectOption('1h');
  expect(page.url()).toContain('last=1h');
  await expect(rows(page)).toHaveCount(1);
});

test('keys: a line, its fields, its surroundings, its link', async ({ page, ten, enter }) => {
  await ten.spawn('talker', 'keys');
  await ten.visit('talker', 'keys', '/count?n=300');
  await enter('/logs?instance=talker:keys');
  await expect(rows(page).last()).toContainText('count 299');
  await page.keyboard.press('/');
  await page.keyboard.type('count 150');
  await expect(rows(page)).toHaveCount(1);
  await page.keyboard.press('Enter');
  await expect(rows(page).first()).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.getByText('line 150', { exact: true })).toBeVisible();
  await page.keyboard.press('y');
  await expect(page.getByText('The line is copied')).toBeVisible();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe('count 150');
  await page.keyboard.press('l');
  await expect(page.getByText('A link to the line is copied')).toBeVisible();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  expect(link).toMatch(/#\/logs\?line=talker:keys:150@\d{13}$/);
  await page.keyboard.press('c');
  await expect(list(page)).toHaveAccessibleName('Lines around line 150 of talker:keys');
  await expect(list(page).locator('.target')).toContainText('count 150');
  await expect(list(page).locator('.target')).toBeInViewport();
  const later = page.getByRole('button', { name: '100 later lines' });
  await later.click();
  // All that there are have come.
  await expect(later).toHaveCount(0);
  await list(page).evaluate((one) => (one.scrollTop = one.scrollHeight));
  await expect(rows(page).last()).toContainText('count 299');
  await page.keyboard.press('Escape');
  await expect(search(page)).toHaveValue('count 150');
  await expect(rows(page)).toHaveCount(1);
  await page.goto('about:blank');
  await page.goto(link);
  await expect(list(page).locator('.target')).toContainText('count 150');
  await go(page, '/logs?line=talker:keys:99999');
  await expect(page.getByText('This line is gone, or not yours to see')).toBeVisible();
});

test('a link to a line that was erased leads to no line of the next life', async ({ page, ten, enter }) => {
  const spawn = async (n: number): Promise<void> => {
    await ten.spawn('talker', 'relink');
    await ten.visit('talker', 'relink', `/count?n=${n}`);
  };
  await spawn(3);
  const { logs } = await ten.api<{ logs: { seq: number; timestamp: string }[] }>(
    'GET',
    '/api/logs/talker/relink',
  );
  const { seq, timestamp } = logs[1];
  const link = `/logs?line=talker:relink:${seq}@${Date.parse(timestamp)}`;
  await enter(link);
  await expect(list(page).locator('.target')).toContainText('count');
  await ten.api('DELETE', '/api/instances/talker/relink?purge=true');
  await spawn(9);
  await go(page, `/logs?line=talker:relink:${seq}`);
  await expect(list(page).locator('.target')).toContainText('count');
  await go(page, link);
  await expect(page.getByText('This line is gone, or not yours to see')).toBeVisible();
});

test('several lines are chosen and copied', async ({ page, ten, enter }) => {
  await ten.spawn('talker', 'several');
  await ten.visit('talker', 'several', '/count?n=10');
  await enter('/logs?instance=talker:several');
  await expect(rows(page)).toHaveCount(10);
  for (const key of ['j', 'K', 'K', 'y']) await page.keyboard.press(key);
  await expect(page.getByText('3 lines are copied')).toBeVisible();
  const text = await page.evaluate(() => navigator.clipboard.readText());
  expect(
    text
      .trimEnd()
      .split('\n')
      .map((line) => line.slice(-7)),
  ).toEqual(['count 7', 'count 8', 'count 9']);
});

test('all that matches is downloaded', async ({ page, ten, enter }) => {
  await ten.spawn('talker', 'file');
  await ten.visit('talker', 'file', '/count?n=3000');
  await enter('/logs?instance=talker:file&q=count');
  await expect(rows(page).last()).toContainText('count 2999');
  const [file] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Download all lines that match' }).click(),
  ]);
  expect(file.suggestedFilename()).toMatch(/^logs-.*\.ndjson$/);
  const chunks: Buffer[] = [];
  for await (const chunk of await file.createReadStream()) chunks.push(chunk as Buffer);
  const lines = Buffer.concat(chunks).toString().trimEnd().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as { message: string }).message)).toEqual(
    Array.from({ length: 3000 }, (_, i) => `count ${i}`),
  );
});

test('whose lines: all, of a service, of some', async ({ page, ten, enter }) => {
  await ten.spawn('talker', 'pick-a');
  await ten.spawn('talker', 'pick-b');
  await say(ten, 'pick-a', 'from a\n');
  await say(ten, 'pick-b', 'from b\n');
  await say(ten, 'one', 'from quiet\n', 'quiet');
  await enter('/logs?q=from');
  await expect(rows(page)).toHaveCount(3);
  await page.getByRole('button', { name: /Whose lines/ }).click();
  await page.getByLabel('Service or instance').fill('quiet');
  await page.getByRole('button', { name: /All of quiet/ }).click();
  await expect(rows(page)).toHaveCount(1);
  await page.getByRole('button', { name: /Whose lines/ }).click();
  await page.getByLabel('Service or instance').fill('pick');
  await page.getByRole('button', { name: 'talker:pick-a' }).click();
  await page.getByRole('button', { name: 'talker:pick-b' }).click();
  await expect(rows(page)).toHaveCount(2);
  await page.keyboard.press('Escape');
  expect(page.url()).toContain('instance=talker:pick-a,talker:pick-b');
});

test('a tenant sees its own lines only', async ({ page, ten, enter }) => {
  await ten.spawn('talker', 'mine');
  await ten.spawn('talker', 'theirs');
  await say(ten, 'mine', 'my own line\n');
  await say(ten, 'theirs', 'their line\n');
  await enter('/logs', await ten.newToken(['read'], { instance: 'talker:mine' }));
  await expect(rows(page)).toHaveCount(1);
  await expect(rows(page)).toContainText('my own line');
  await expect(page.getByRole('button', { name: /Whose lines/ })).toBeHidden();
});

// faults: G3, G4, U1
test('hostile lines are only shown', async ({ page, ten, enter }) => {
  await ten.spawn('talker', 'evil');
  const lines = [
    '<script>alert(1)</script><img src=x onerror=alert(2)> javascript:alert(3) ]]></script><svg onload=alert(4)>',
    '"><iframe src="javascript:alert(5)"></iframe>{{constructor.constructor("alert(6)")()}}',
    '{"<img src=x onerror=alert(7)>":"<script>alert(8)</script>","__proto__":{"x":1},"level":"error"}',
    '\x1b[2J\x1b]0;owned\x07\x1b]52;c;ZXZpbA==\x07\x1b[8mhidden\x1b[0m\x1b[30;40mblack on black\x1b[0m',
    'user\u202egnp.exe \u2066isolate zero\u200bwidth \ufeffbom nul\0nul tab\tand \u2028 separator',
    '👩‍💻 🏳️‍🌈 e' + '\u0301'.repeat(300) + ' مرحبا 你好',
    '\x1b[31ma\x1b[32mb'.repeat(5000),
    '\x1b[2J'.repeat(9000),
    '\0'.repeat(20_000),
    'long ' + 'x'.repeat(60_000),
    'wide ' + '\ufdfd'.repeat(2000),
  ];
  await say(ten, 'evil', lines.join('\n') + '\n');
  await say(
    ten,
    'evil',
    Buffer.concat([Buffer.from('bad utf8 \xff\xfe\xed\xa0\x80 end', 'latin1'), Buffer.from('\n')]),
  );
  await say(ten, 'evil', '2026-01-01 ERROR tenement: forged\n');
  let dialogs = 0;
  page.on('dialog', (dialog) => {
    dialogs += 1;
    void dialog.dismiss();
  });
  await enter('/logs?instance=talker:evil');
  await expect(rows(page).last()).toContainText('forged');
  await expect(rows(page).last().locator('.source')).toHaveCount(0);
  for (const wrap of [true, false]) {
    if (!wrap) await page.getByRole('button', { name: 'Wrap long lines' }).click();
    await list(page).evaluate((one) => (one.scrollTop = 0));
    await expect(rows(page).first()).toContainText('<script>alert(1)</script>');
    for (let i = 0; i < 3; i++) await page.keyboard.press('k');
  }
  await page.getByRole('button', { name: 'Wrap long lines' }).click();
  await list(page).evaluate((one) => (one.scrollTop = 0));
  await expect(rows(page).first()).toContainText('<script>alert(1)</script>');
  await isSettled(page);
  await rows(page).nth(2).getByRole('button', { name: 'Details of the line' }).click();
  await expect(page.getByText('<img src=x onerror=alert(7)>', { exact: true })).toBeVisible();
  await expect(rows(page).nth(3)).toContainText('hidden');
  await expect(rows(page).nth(4)).toContainText('user‹202E›gnp.exe');
  await expect(rows(page).nth(4)).toContainText('nul‹NUL›nul');
  await expect(rows(page).nth(5).locator('.text')).toContainText('👩‍💻');
  const whole = page.getByRole('button', { name: /show all 60,005 characters/ });
  await whole.scrollIntoViewIfNeeded();
  await whole.click();
  await expect(page.getByRole('button', { name: 'Show less' })).toBeAttached();
  const foreign = await page.evaluate(() => ({
    made: document.querySelectorAll(
      'main script, main img, main iframe, main [onerror], main [onload], main [style*="url"]',
    ).length,
    title: document.title,
    wide: document.documentElement.scrollWidth - window.innerWidth,
  }));
  expect(foreign).toEqual({ made: 0, title: 'Logs · tenement', wide: 0 });
  expect(dialogs).toBe(0);
  await go(
    page,
    '/logs?q=<script>alert(1)</script>&line="><img src=x onerror=alert(1)>:1:2&field=<b>&level=evil',
  );
  await expect(page.getByText('is no place of a line')).toBeVisible();
  expect(dialogs).toBe(0);
});

test('an instance without a line says so', async ({ page, ten, enter }) => {
  await ten.spawn('talker', 'mute');
  await enter('/logs', await ten.newToken(['read'], { instance: 'talker:mute' }));
  await expect(page.getByText('No lines yet')).toBeVisible();
  await isFitForAll(page);
});

test('a low window has room for lines, too', async ({ page, ten, enter }) => {
  await ten.spawn('talker', 'low');
  await ten.visit('talker', 'low', '/count?n=50');
  await page.setViewportSize({ width: 640, height: 320 });
  await enter('/logs?instance=talker:low');
  await expect(rows(page).last()).toContainText('count 49');
  await list(page).scrollIntoViewIfNeeded();
  await expect(rows(page).last()).toBeInViewport({ ratio: 1 });
  expect((await list(page).boundingBox())!.height).toBeGreaterThan(100);
});

// faults: U6
test('the page is fit for all', async ({ page, ten, enter }) => {
  await ten.spawn('talker', 'fit');
  await say(
    ten,
    'fit',
    [...Array(16).keys()]
      .map(
        (n) =>
          `\x1b[${n < 8 ? 30 + n : 82 + n}mcolour ${n}\x1b[0m \x1b[${n < 8 ? 40 + n : 92 + n}mground\x1b[0m`,
      )
      .join('\n') + '\nWARN odd\nERROR bad\nDEBUG small\n{"level":"info","msg":"x","n":1}\n',
  );
  await enter('/logs?instance=talker:fit,quiet:one&q=o');
  await expect(rows(page).last()).toContainText('msg');
  await rows(page).last().getByRole('button', { name: 'Details of the line' }).click();
  await isFitForAll(page);
});
