import { mount } from 'svelte';
import App from './App.svelte';
import { parseRoute } from './lib/route';
import { PAGES } from './pages';
import { session } from './stores/session.svelte';
import './styles/tokens.css';
import './styles/base.css';

// Before anything is drawn: it takes a one-time code out of the address.
void session.start();

// The page's files come while the daemon is asked who this is; what goes wrong is shown where they are waited for.
PAGES.find((page) => page.name === parseRoute(location.hash).page)
  ?.load()
  .catch(() => {});

const target = document.getElementById('app');
if (target !== null) mount(App, { target });
