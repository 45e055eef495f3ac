// What a token may do, see, and how long, in words.
import type { Schemas } from '../../api/client';
import { dateTime, duration } from '../../lib/format';

export type Token = Schemas['Token'];

/** Each scope includes those before it; the widest says all. */
export function widest(token: Pick<Token, 'scopes'>): string {
  if (token.scopes.includes('admin')) return 'admin';
  return token.scopes.includes('write') ? 'read, write' : 'read';
}

/** What it is bound to; '' for one that sees everything. */
export function boundTo(token: Pick<Token, 'service' | 'instance'>): string {
  return token.instance ?? (token.service ? `${token.service}:*` : '');
}

const DAY = 86_400_000;

export function expiry(
  token: Pick<Token, 'expires_at'>,
  now: number,
): { words: string; tone: '' | 'muted' | 'soon' | 'bad' } {
  if (!token.expires_at) return { words: 'never', tone: 'muted' };
  const left = Date.parse(token.expires_at) - now;
  if (left <= 0) return { words: 'expired', tone: 'bad' };
  if (left < 100 * DAY)
    return { words: `in ${duration(left).replace(/(?<=[mhd]) .*/, '')}`, tone: left < 3 * DAY ? 'soon' : '' };
  return { words: dateTime(Date.parse(token.expires_at)).slice(0, 10), tone: '' };
}
