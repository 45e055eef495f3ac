// A real `ten serve` for the tests: its own data directory, port and token, and small apps that really run.
//
//   Daemon.start() ──> spawn, wait for /health ──> api(), visit(), ten() ──> stop(): SIGTERM, and nothing is left of it
//
// Everything that it starts has a variable in its environment by which /proc finds it again.
import { spawn, execFile, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const TEN = process.env.TEN ?? fileURLToPath(new URL('../../target/debug/ten', import.meta.url));
const APP = fileURLToPath(new URL('./apps/app.py', import.meta.url));
/** Milliseconds; the machine may be busy. */
const PATIENCE = 30_000;

/** `web` serves and is declared twice; `printer` also prints by itself; `naps` sleeps after a second. */
export const CONFIG = `[settings]
domain = "localhost"
max_restarts = 6
backoff_base_ms = 100

[service.web]
command = "python3 ${APP}"
health = "/health"

[service.web.env]
GREETING = "hello"
API_SECRET = "do-not-show-me"

[service.printer]
command = "python3 ${APP}"

[service.printer.env]
TICK = 0.5

[service.naps]
command = "python3 ${APP}"
idle_timeout = 1

[instances]
web = ["alice", "bob"]
printer = ["one"]
naps = ["nora"]
`;

export type Answer = { status: number; body: string };

export class Daemon {
  readonly token = 'tenement_of_the_tests';
  readonly dir = mkdtempSync(join(tmpdir(), 'ten-ui-'));
  readonly config = join(this.dir, 'tenement.toml');
  private readonly mark = `TENEMENT_UI_TEST=${randomBytes(12).toString('hex')}`;
  private process: ChildProcess | null = null;
  private said = '';
  port = 0;

  /** `files` are copied beside the configuration: where from, by where to. */
  static async start(config = CONFIG, files: Record<string, string> = {}): Promise<Daemon> {
    const daemon = new Daemon();
    for (const [to, from] of Object.entries(files)) cpSync(from, join(daemon.dir, to));
    writeFileSync(daemon.config, config);
    daemon.port = await freePort();
    await daemon.run();
    return daemon;
  }

  /** Where the browser goes. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts the process; also again, after `end`, with the same state. */
  async run(): Promise<void> {
    const flags = ['serve', '--config', this.config, '--data-dir', join(this.dir, 'data')];
    const child = spawn(
      TEN,
      [...flags, '--host', '127.0.0.1', '--port', String(this.port), '--token', this.token],
      {
        env: { PATH: process.env.PATH, HOME: this.dir, ...this.marked() },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    this.process = child;
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (this.said += bytes));
    await until(
      async () => {
        if (child.exitCode !== null) throw new Error(`ten serve ended with ${child.exitCode}:\n${this.said}`);
        return (await this.get('/health').catch(() => null))?.status === 200;
      },
      () => `ten serve does not answer:\n${this.said}`,
    );
  }

  /** Ends the process, as a restart of the machine would; its state stays. */
  async end(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.process;
    this.process = null;
    if (child === null || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  }

  /** Ends it and removes its state; throws when a process of it is still there. */
  async stop(): Promise<void> {
    await this.end();
    try {
      await until(
        () => this.left().length === 0,
        () => `still there: ${this.left().join(', ')}`,
      );
    } finally {
      for (const pid of this.left()) process.kill(pid, 'SIGKILL');
      rmSync(this.dir, { recursive: true, force: true });
    }
  }

  /** Processes that began with it, and live. */
  left(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .filter((name) => {
        try {
          return readFileSync(`/proc/${name}/environ`, 'latin1').split('\0').includes(this.mark);
        } catch {
          return false;
        }
      })
      .map(Number);
  }

  /** The API as a program uses it; throws for what is no success. */
  async api<T = unknown>(method: string, path: string, body?: unknown, token = this.token): Promise<T> {
    const response = await fetch(`http://127.0.0.1:${this.port}${path}`, {
      method,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  /** A new token's text. */
  async newToken(scopes: string[], bound: { service?: string; instance?: string } = {}): Promise<string> {
    return (await this.api<{ token: string }>('POST', '/api/tokens', { name: 'test', scopes, ...bound }))
      .token;
  }

  spawn(service: string, id: string, env: Record<string, string> = {}): Promise<unknown> {
    return this.api('POST', '/api/instances', { service, id, env });
  }

  /** Waits until an instance is what it is to be. */
  becomes(service: string, id: string, status: string): Promise<unknown> {
    return this.api('GET', `/api/instances/${service}/${id}/wait?status=${status}&timeout=30`);
  }

  /** A request to an instance, as its users make it: wakes one that sleeps. */
  visit(service: string, id: string, path = '/'): Promise<Answer> {
    return this.get(path, `${id}.${service}.localhost`);
  }

  /** A command of the CLI against this daemon. */
  async ten(...args: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(TEN, [...args, '--data-dir', join(this.dir, 'data')], {
      env: { PATH: process.env.PATH, HOME: this.dir, TENEMENT_CONFIG: this.config, NO_COLOR: '1' },
    });
    return stdout;
  }

  /** Another configuration, not in force before a reload. */
  writeConfig(text: string): void {
    writeFileSync(this.config, text);
  }

  private get(path: string, host = 'localhost'): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const given = (response: IncomingMessage): void => {
        let body = '';
        response.on('data', (bytes) => (body += bytes));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
        response.on('error', reject);
      };
      const headers = { Host: `${host}:${this.port}` };
      request({ host: '127.0.0.1', port: this.port, path, headers }, given).on('error', reject).end();
    });
  }

  private marked(): Record<string, string> {
    const [name, value] = this.mark.split('=');
    return { [name]: value };
  }
}

/** Asks again until it is so; throws after a time that is long for a busy machine. */
export async function until(
  so: () => boolean | Promise<boolean>,
  otherwise: () => string = () => 'it did not become so',
): Promise<void> {
  const end = performance.now() + PATIENCE;
  while (!(await so())) {
    if (performance.now() > end) throw new Error(otherwise());
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
