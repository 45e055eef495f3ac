// Who is signed in. The token is in memory and in sessionStorage, nowhere else; a code in the address is taken out of it
// before anything else happens.
//
//   start ──stored token──> GET /api/session ──> in          401 at any time ──> out
//     │                           │ then
//     ├─────#/link/CODE─────> asks who is in ──> POST /api/session ──> in
//     └─────neither─────────> out ──signIn(token)──> in
import { again } from '../api/again';
import { ApiError, request, useCredentials, wordsOf } from '../api/client';
import type { CreatedSession, SessionInfo } from '../api/types';
import { hashOf, parseRoute } from '../lib/route';
import { confirm, type Question } from './confirm.svelte';
import { toasts } from './toasts.svelte';

export type Scope = 'read' | 'write' | 'admin';
const KEY = 'tenement.token';
const ENDED = 'The token was revoked or has expired';
const RANKS: Record<Scope, number> = { read: 0, write: 1, admin: 2 };

class Session {
  state = $state<'starting' | 'out' | 'in' | 'unreachable'>('starting');
  who = $state.raw<SessionInfo | null>(null);
  /** Why it is not known who is signed in. */
  error = $state.raw<unknown>(null);
  /** Why there is a sign-in page, where the reason is not that nobody signed in. */
  reason = $state<string | null>(null);
  private token: string | null = null;
  /** Of a link that could not be tried yet. */
  private code: string | null = null;
  /** Until then it is not asked whether the token still is one. */
  private quiet = 0;
  private readonly forgetters: (() => void)[] = [];
  private readonly reasons: (() => Question | null)[] = [];

  constructor() {
    useCredentials({ token: () => this.token, refused: () => this.end(ENDED) });
  }

  /** Whether the token is bound to a service or an instance. */
  readonly bound = $derived(this.who !== null && (this.who.service !== null || this.who.instance !== null));

  /** Whether the token may do what needs this scope; what needs `admin` needs one that is not bound. */
  can(scope: Scope): boolean {
    if (this.who === null || (scope === 'admin' && this.bound)) return false;
    return this.who.scopes.some((own) => RANKS[own] >= RANKS[scope]);
  }

  /** Whether it may spawn this instance, or without a name some that it chooses itself. */
  spawns(instance?: string): boolean {
    const own = this.who?.instance ?? null;
    return this.can('write') && (own === null || own === instance);
  }

  /** Called when the session ends: what the next one must not see is forgotten. */
  onEnd(forget: () => void): void {
    this.forgetters.push(forget);
  }

  /** What to ask before the session is ended here, while something would be lost by it. */
  beforeLeaving(reason: () => Question | null): void {
    this.reasons.push(reason);
  }

  /** At the start of the page. */
  async start(): Promise<void> {
    // A link may be opened where the page is open already.
    window.addEventListener('hashchange', () => {
      const given = takeCode();
      if (given === null) return;
      this.code = given;
      void this.check();
    });
    this.code = takeCode();
    this.token = stored();
    if (this.token === null && this.code === null) this.state = 'out';
    else await this.check();
  }

  /** Signs in with a token; throws what the API says of it. */
  async signIn(token: string): Promise<void> {
    const who = await request<SessionInfo>('get', '/api/session', {
      anonymous: true,
      headers: { Authorization: `Bearer ${token}` },
    });
    this.begin(token, who);
  }

  /** Signs out here, and has a token that a link made revoked; says so where that did not work. */
  async signOut(): Promise<void> {
    if (!(await this.mayEnd())) return;
    const { token, who } = this;
    this.end(null);
    if (token !== null && who?.kind === 'link') await this.revoke(token, who);
  }

  private async mayEnd(): Promise<boolean> {
    for (const reason of this.reasons) {
      const question = reason();
      if (question !== null && !(await confirm.ask(question))) return false;
    }
    return true;
  }

  private async revoke(token: string, who: SessionInfo): Promise<void> {
    const headers = { Authorization: `Bearer ${token}` };
    try {
      await request('delete', '/api/session', { anonymous: true, headers });
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return;
      const remedy = `It is valid until it ends by itself. End it with: ten token-revoke ${who.id}`;
      toasts.say('bad', 'The daemon could not be told of the sign-out', `${wordsOf(error)} ${remedy}`);
    }
  }

  /** Asks whose the token is, then tries a link; also what the page of an unreachable daemon does again. */
  async check(): Promise<void> {
    // A link waits until it is known who is signed in, and so who is to be asked.
    if (this.token !== null && this.who === null && !(await this.known())) return;
    const code = this.code;
    this.code = null;
    // Whatever becomes of the link, who is signed in goes on.
    if (this.who !== null) this.state = 'in';
    if (code !== null) await this.exchange(code);
  }

  /** Whether it is settled whose the token is; one that is refused is nobody's. */
  private async known(): Promise<boolean> {
    const { token } = this;
    try {
      const who = await request<SessionInfo>('get', '/api/session');
      if (token !== this.token) return false;
      this.who = who;
      this.state = 'in';
      return true;
    } catch (error) {
      // The client has ended the session when the token was refused.
      if (error instanceof ApiError && error.status === 401) return true;
      // An answer that did not come says nothing where one did since.
      if (token !== this.token || this.who !== null) return false;
      this.error = error;
      this.state = 'unreachable';
      return false;
    }
  }

  /** Whether the token still is one: a page that nothing comes to by itself would not find out. */
  async look(): Promise<void> {
    if (this.token === null || performance.now() < this.quiet) return;
    // A refusal ends the session, and who does not answer may do so the next time.
    await request('get', '/api/session').catch((error: unknown) => {
      this.quiet = performance.now() + (again(error, 1) ?? 0);
    });
  }

  /** Whoever is signed in is asked: a link is made by somebody else, who chose what it may do. */
  private async exchange(code: string): Promise<void> {
    const { token, who } = this;
    if (who !== null && !((await confirm.ask(replacing(who))) && (await this.mayEnd()))) return;
    try {
      const made = await request<CreatedSession>('post', '/api/session', {
        anonymous: true,
        body: { link: code },
      });
      // Whoever was signed in is not any more.
      this.end(null);
      if (token !== null && who?.kind === 'link') void this.revoke(token, who);
      this.state = 'starting';
      this.token = made.token;
      keep(made.token);
      await this.check();
    } catch (error) {
      // Too much is asked here by wrong codes alone: this one would be another of them.
      const wrong = error instanceof ApiError && error.status === 429;
      if (this.who !== null) toasts.say('bad', 'The link did not sign in', wordsOf(error));
      else if (wrong || again(error, 1) === null) this.end(wordsOf(error));
      else {
        this.code = code;
        this.error = error;
        this.state = 'unreachable';
      }
    }
  }

  private begin(token: string, who: SessionInfo): void {
    this.token = token;
    keep(token);
    this.who = who;
    this.reason = null;
    this.state = 'in';
  }

  private end(reason: string | null): void {
    this.token = null;
    keep(null);
    this.who = null;
    this.quiet = 0;
    this.reason = reason;
    this.state = 'out';
    confirm.settle(false);
    toasts.clear();
    for (const forget of this.forgetters) forget();
  }
}

function replacing(who: SessionInfo): Question {
  return {
    title: 'Sign in by this link?',
    text: `You are signed in as ${who.name}. The link has a session of its own, with the rights that whoever made it chose.`,
    action: 'Use the link',
    danger: false,
  };
}

/** The code of a one-time link, which is out of the address and the history from here on. */
function takeCode(): string | null {
  const route = parseRoute(location.hash);
  if (route.page !== 'link') return null;
  history.replaceState(null, '', hashOf('/'));
  window.dispatchEvent(new PopStateEvent('popstate'));
  return route.places.code;
}

function stored(): string | null {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function keep(token: string | null): void {
  try {
    if (token === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, token);
  } catch {
    // Then it lasts until the page is reloaded.
  }
}

export const session = new Session();
