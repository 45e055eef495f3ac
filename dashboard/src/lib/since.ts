// Ranges of time up to now, as filters of events and the audit have them.

export const SINCE = ['', '1h', '1d', '7d', '30d'] as const;
export type Since = (typeof SINCE)[number];
export const SINCE_WORDS: Record<Since, string> = {
  '': 'Any time',
  '1h': 'Last hour',
  '1d': 'Last day',
  '7d': 'Last week',
  '30d': 'Last 30 days',
};
