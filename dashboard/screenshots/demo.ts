// A daemon that looks as if it were at work: about 40 instances of five services, with traffic, crashes and sleep.
import { fileURLToPath } from 'node:url';
import type { Daemon } from '../tests/daemon';

const APP = fileURLToPath(new URL('./demo.py', import.meta.url));

const NOTES = ['alice', 'bob', 'carol', 'dave', 'erin', 'frank', 'grace', 'heidi', 'ivan', 'judy', 'mallory'];
const SHOP = ['acme', 'bakery', 'cycles', 'flowers', 'garden', 'hardware', 'north-star', 'tea-house'];
const PREVIEW = ['main', 'pr-398', 'pr-401', 'pr-404', 'pr-407', 'pr-409', 'pr-411', 'pr-415', 'pr-418'];
const AGENT = ['alice', 'carol', 'dave', 'grace', 'ivan', 'judy', 'oscar'];
const MAILER = ['eu', 'us', 'ap'];
const names = (ids: string[]): string => ids.map((id) => `"${id}"`).join(', ');

/** Each service has its own file, as it would be. */
export const FILES = Object.fromEntries(
  ['notes', 'shop', 'preview', 'agent', 'mailer'].map((name) => [`${name}.py`, APP]),
);

export const CONFIG = `# One process for each customer, one for each branch.
[settings]
domain = "localhost"
max_restarts = 5
backoff_base_ms = 200

[service.notes]
command = "python3 notes.py"
health = "/health"

[service.notes.env]
OWNER = "{id}"
SMTP_PASSWORD = "not on a screenshot"

[service.shop]
command = "python3 shop.py"
health = "/health"

[service.shop.env]
CURRENCY = "EUR"
WORKERS = "4"

[service.preview]
command = "python3 preview.py"
idle_timeout = 20

[service.agent]
command = "python3 agent.py"
idle_timeout = "10m"

[service.mailer]
command = "python3 mailer.py"

[instances]
notes = [${names(NOTES)}]
shop = [${names(SHOP)}]
preview = [${names(PREVIEW)}]
agent = [${names(AGENT)}]
mailer = [${names(MAILER)}]
`;

/** What somebody is about to change on the screenshot of the configuration. */
export const CHANGED = CONFIG.replace('CURRENCY = "EUR"', 'CURRENCY = "EUR"\nVAT = "20"').replace(
  'idle_timeout = "10m"',
  'idle_timeout = "5m"',
);

/** What happened before anybody looks: one that can't start, one stopped by hand, tokens, a refused request. */
export async function prepare(ten: Daemon): Promise<void> {
  for (const id of ['alice', 'heidi']) await ten.becomes('notes', id, 'running');
  await ten.spawn('preview', 'pr-412', { BROKEN: '1' }).catch(() => {});
  await ten.api('POST', '/api/instances/mailer/ap/stop');
  await ten.api('POST', '/api/instances/notes/heidi/restart');
  await ten.api('POST', '/api/tokens', { name: 'deploy', scopes: ['read', 'write'] });
  await ten.api('POST', '/api/tokens', { name: 'alice’s page', scopes: ['read'], instance: 'notes:alice' });
  await ten.api('POST', '/api/tokens', { name: 'shop support', scopes: ['read'], service: 'shop' });
  await ten.api('POST', '/api/instances/notes/zoe/stop').catch(() => {});
}

const PATHS = ['/', '/orders', '/orders/4711', '/notes?tag=todo', '/search?q=milk', '/basket', '/login'];
const any = <T>(list: T[]): T => list[Math.floor(Math.random() * list.length)];

/** Requests of many people until the function that is returned is called. */
export function traffic(ten: Daemon): () => Promise<void> {
  let ended = false;
  let turn = 0;
  const visitor = async (): Promise<void> => {
    while (!ended) {
      turn += 1;
      // Some have more visitors than others.
      const busy = Math.random() < 0.6;
      const [service, id] = busy
        ? any([
            ['shop', 'acme'],
            ['shop', 'tea-house'],
            ['notes', 'alice'],
            ['notes', 'erin'],
          ])
        : any([
            ['shop', any(SHOP)],
            ['notes', any(NOTES)],
            ['agent', any(AGENT)],
          ]);
      const path = service === 'shop' && turn % 60 === 0 ? '/error' : any(PATHS);
      await ten.visit(service, id, path).catch(() => {});
      if (turn % 50 === 0) await ten.visit('preview', any(PREVIEW)).catch(() => {});
      if (turn % 700 === 0) await ten.visit('agent', 'oscar', '/broken').catch(() => {});
      const swing = 1 + Math.sin(performance.now() / 6000) * 0.6;
      await new Promise((resolve) => setTimeout(resolve, 60 + Math.random() * 160 * swing));
    }
  };
  const visitors = Array.from({ length: 4 }, visitor);
  return async () => {
    ended = true;
    await Promise.all(visitors);
  };
}
