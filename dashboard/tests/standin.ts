// Answers of routes that the daemon does not have yet; goes away with them.
import type { Daemon } from './daemon';

export async function standIn(ten: Daemon, path: string, token: string): Promise<object | null> {
  const known = await fetch(`${ten.url}${path}`, { headers: { Authorization: `Bearer ${token}` } });
  if (known.status !== 404) return null;
  if (path === '/api/session') return whoIs(ten, token);
  const history = /^\/api\/metrics\/([^/]+)\/([^/]+)\/history/.exec(path);
  if (history) return curves(`${history[1]}:${history[2]}`, path);
  const config = /^\/api\/instances\/([^/]+)\/([^/]+)\/config$/.exec(path);
  if (config) {
    const all = await ten.api<{ services: Record<string, { env: object }> }>('GET', '/api/config');
    const own = all.services[config[1]];
    return { instance: `${config[1]}:${config[2]}`, env: own.env, config: own };
  }
  return null;
}

async function whoIs(ten: Daemon, token: string): Promise<object | null> {
  const { tokens } = await ten.api<{ tokens: Record<string, unknown>[] }>('GET', '/api/tokens');
  const answer = await fetch(`${ten.url}/api/instances`, { headers: { Authorization: `Bearer ${token}` } });
  if (answer.status === 401) return null;
  const admin = await fetch(`${ten.url}/api/config`, { headers: { Authorization: `Bearer ${token}` } });
  const own = admin.ok ? null : tokens.findLast((one) => one.name === 'test');
  return {
    id: own?.id ?? 'first',
    name: own?.name ?? 'first',
    scopes: own?.scopes ?? ['admin'],
    service: own?.service ?? null,
    instance: own?.instance ?? null,
    expires_at: null,
    kind: 'token',
    version: '0.1.0',
    domain: 'localhost',
  };
}

function curves(instance: string, path: string): object {
  const day = !path.includes('range=1h');
  const step = day ? 300_000 : 10_000;
  const span = path.includes('range=7d') ? 7 * 86_400_000 : day ? 86_400_000 : 3_600_000;
  const end = Math.floor(Date.now() / step) * step;
  const times = Array.from({ length: span / step }, (_, i) => end - span + (i + 1) * step);
  const asleep = (i: number): boolean => i % 120 > 80 && i % 120 < 105;
  const wave = (base: number, size: number, pace: number): (number | null)[] =>
    times.map((_, i) =>
      asleep(i) ? null : base + size * (1 + Math.sin(i / pace)) + size * 0.3 * Math.sin(i * 1.7),
    );
  return {
    instance,
    interval_ms: step,
    times,
    memory_mb: wave(40, 8, 40),
    cpu_percent: wave(2, 6, 12),
    requests_per_second: wave(1, 12, 9),
    errors_per_second: times.map((_, i) => (asleep(i) ? null : i % 67 === 0 ? 1.5 : 0)),
    latency_p50_ms: wave(3, 1, 14),
    latency_p95_ms: wave(12, 8, 11),
  };
}
