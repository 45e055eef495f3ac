// Where the browser finds the dashboard: the daemon itself when it has in it what is in dist/, else a small server that
// has dist/ and passes the rest on, so that pages can be tried without building the daemon anew.
//
//   browser ──> Front ──┬─ /, /assets/*: dist/, with the daemon's policy
//                       └─ else: the daemon
import { readFile } from 'node:fs/promises';
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Daemon } from './daemon';

const DIST = fileURLToPath(new URL('../dist', import.meta.url));
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

export class Front {
  private constructor(
    readonly url: string,
    private readonly server: Server | null,
  ) {}

  static async before(ten: Daemon): Promise<Front> {
    const embedded = await (await fetch(ten.url)).text();
    const built = await readFile(join(DIST, 'index.html'), 'utf8').catch(() => null);
    if (built === null || built === embedded) return new Front(ten.url, null);
    const server = createServer((asked, answer) => void serve(ten, asked, answer));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    return new Front(`http://127.0.0.1:${port}`, server);
  }

  async close(): Promise<void> {
    this.server?.closeAllConnections();
    await new Promise((resolve) => (this.server === null ? resolve(null) : this.server.close(resolve)));
  }
}

async function serve(ten: Daemon, asked: IncomingMessage, answer: ServerResponse): Promise<void> {
  const path = new URL(asked.url ?? '/', ten.url).pathname;
  if (path === '/' || path.startsWith('/assets/')) {
    const file = join(DIST, normalize(path === '/' ? '/index.html' : path));
    const body = await readFile(file).catch(() => null);
    answer.writeHead(body === null ? 404 : 200, {
      'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
      'Content-Security-Policy': POLICY,
      'X-Content-Type-Options': 'nosniff',
    });
    answer.end(body);
    return;
  }
  const onward = request(
    {
      host: '127.0.0.1',
      port: ten.port,
      path: asked.url,
      method: asked.method,
      headers: { ...asked.headers, host: `127.0.0.1:${ten.port}`, origin: ten.url },
    },
    (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      // A stream that says nothing yet is open all the same.
      answer.flushHeaders();
      // What breaks on one side breaks on the other.
      response.on('close', () => response.complete || answer.destroy());
      response.pipe(answer);
    },
  );
  onward.on('error', () => answer.destroy());
  answer.on('close', () => onward.destroy());
  asked.pipe(onward);
}
