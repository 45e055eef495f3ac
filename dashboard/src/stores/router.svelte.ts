// The page that is shown, by the address after `#`.
import { hashOf, parseRoute, type Route } from '../lib/route';

class Router {
  route = $state.raw<Route>(parseRoute(location.hash));
  readonly page = $derived(this.route.page);
  readonly places = $derived(this.route.places);
  readonly query = $derived(this.route.query);
  /** What is another page when it is another one: not a service that is opened, not a search. */
  readonly identity = $derived(this.page === 'instance' ? this.route.path : this.page);

  constructor() {
    window.addEventListener('hashchange', () => this.read());
    window.addEventListener('popstate', () => this.read());
  }

  /** Goes to a page, as a link does. */
  go(path: string, query: URLSearchParams | string = ''): void {
    location.hash = hashOf(path, query);
  }

  /** Goes there, and the page before is not one to go back to. */
  replace(path: string, query: URLSearchParams | string = ''): void {
    history.replaceState(history.state, '', hashOf(path, query));
    this.read();
  }

  /** The state of the page that is shown; typing in a search is no step to go back to. */
  setQuery(query: URLSearchParams, step: 'push' | 'replace' = 'replace'): void {
    const hash = hashOf(this.route.path, query);
    if (hash === hashOf(this.route.path, this.route.query)) return;
    if (step === 'push') history.pushState(history.state, '', hash);
    else history.replaceState(history.state, '', hash);
    this.read();
  }

  private read(): void {
    this.route = parseRoute(location.hash);
  }
}

export const router = new Router();
