// The columns of the overview, left to right. Which are there depends on the width of the table, in InstanceTable's style.
import type { Sort } from '../../lib/table';

export type Column = { name: string; title: string; sort: Sort | null; right: boolean; hint?: string };

export const COLUMNS: Column[] = [
  { name: 'instance', title: 'Instance', sort: 'name', right: false },
  { name: 'status', title: 'Status', sort: 'status', right: false },
  { name: 'health', title: 'Health', sort: 'health', right: false },
  { name: 'memory', title: 'Memory', sort: 'memory', right: true, hint: 'Of its whole process tree' },
  { name: 'cpu', title: 'CPU', sort: 'cpu', right: true, hint: 'Of one core' },
  { name: 'requests', title: 'Req/s', sort: 'requests', right: true, hint: 'Over the last 10 s' },
  { name: 'spark', title: 'Last 5 min', sort: null, right: false, hint: 'Requests per second' },
  {
    name: 'errors',
    title: 'Errors',
    sort: 'errors',
    right: true,
    hint: 'Answers of 500 and above since the daemon began',
  },
  { name: 'uptime', title: 'Uptime', sort: 'uptime', right: true },
  {
    name: 'restarts',
    title: 'Restarts',
    sort: 'restarts',
    right: true,
    hint: 'By hand, after a crash, by a failed check',
  },
  {
    name: 'wake',
    title: 'Last wake',
    sort: 'wake',
    right: true,
    hint: 'When, and how long the request waited',
  },
];

/** Columns whose larger values are looked for: the first click sorts them downwards. */
export const DOWN_FIRST: ReadonlySet<Sort> = new Set([
  'memory',
  'cpu',
  'requests',
  'errors',
  'uptime',
  'restarts',
  'wake',
] as const);
