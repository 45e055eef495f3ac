// All pages: where they are, who sees them, and what is loaded when somebody goes there.
import type { Component } from 'svelte';
import type { IconName } from './components/icons';
import type { PageName } from './lib/route';

export type Page = {
  name: PageName;
  title: string;
  /** Its address after `#`; the instance page has none of its own. */
  path: string;
  icon: IconName;
  /** The key after `g`. */
  key: string | null;
  scope: 'read' | 'admin';
  /** Whether tokens that are bound to a service or instance see it; it shows nothing but what is theirs. */
  bound: boolean;
  load: () => Promise<{ default: Component }>;
};

export const PAGES: Page[] = [
  {
    name: 'overview',
    title: 'Overview',
    path: '/',
    icon: 'overview',
    key: 'o',
    scope: 'read',
    bound: true,
    load: () => import('./pages/overview/Overview.svelte'),
  },
  {
    name: 'logs',
    title: 'Logs',
    path: '/logs',
    icon: 'logs',
    key: 'l',
    scope: 'read',
    bound: true,
    load: () => import('./pages/logs/Logs.svelte'),
  },
  {
    name: 'events',
    title: 'Events',
    path: '/events',
    icon: 'events',
    key: 'e',
    scope: 'read',
    bound: true,
    load: () => import('./pages/events/Events.svelte'),
  },
  {
    name: 'services',
    title: 'Services',
    path: '/services',
    icon: 'services',
    key: 's',
    scope: 'read',
    bound: true,
    load: () => import('./pages/services/Services.svelte'),
  },
  {
    name: 'config',
    title: 'Config',
    path: '/config',
    icon: 'config',
    key: 'c',
    scope: 'admin',
    bound: false,
    load: () => import('./pages/config/Config.svelte'),
  },
  {
    name: 'tokens',
    title: 'Tokens',
    path: '/tokens',
    icon: 'tokens',
    key: 't',
    scope: 'admin',
    bound: false,
    load: () => import('./pages/tokens/Tokens.svelte'),
  },
  {
    name: 'audit',
    title: 'Audit',
    path: '/audit',
    icon: 'audit',
    key: 'a',
    scope: 'admin',
    bound: false,
    load: () => import('./pages/audit/Audit.svelte'),
  },
  {
    name: 'host',
    title: 'Host',
    path: '/host',
    icon: 'host',
    key: 'h',
    scope: 'read',
    bound: false,
    load: () => import('./pages/host/Host.svelte'),
  },
  {
    name: 'instance',
    title: 'Instance',
    path: '/instances',
    icon: 'services',
    key: null,
    scope: 'read',
    bound: true,
    load: () => import('./pages/instance/Instance.svelte'),
  },
];
