// What of a line was found, and how it is shown: pieces of ansi.ts, cut where a match begins or ends.
import { pieces, type Piece, type Style } from './ansi';
import { Pattern, type Range } from './regex';

/** Finds what to mark in a text. */
export type Finder = (text: string) => Range[];
/** What may be spent until the next frame. */
export type Budget = {
  /** Whether there is some left; where there is none, whoever asked is to ask again. */
  open: () => boolean;
  spend: (steps: number) => void;
};
export type Segment = { text: string; style: Style | null; hit: boolean; title: string | null };

const HITS_MAX = 100;
/** A mark on the page takes as long as so many steps of a search. */
const MARK = 300;
const KNOWN_MAX = 2000;

/** The words of a search, as the daemon takes it apart: what stands in quotes is one. */
export function wordsOf(query: string): string[] {
  const words: string[] = [];
  let rest = query.trimStart();
  while (rest !== '') {
    const phrase = /^"([^"]*)"/.exec(rest);
    const word = phrase ? phrase[1] : (/^\S+/.exec(rest)?.[0] ?? '');
    rest = rest.slice(phrase ? phrase[0].length : word.length).trimStart();
    if (word.trim() !== '' && !words.includes(word)) words.push(word);
  }
  return words;
}

/** Small letters, each at the place where its letter was. */
function fold(text: string): string {
  const folded = text.toLowerCase();
  if (folded.length === text.length) return folded;
  let same = '';
  for (const char of text) {
    const small = char.toLowerCase();
    same += small.length === char.length ? small : char;
  }
  return same;
}

/** Finds all words in any case. */
export function wordFinder(query: string): Finder | null {
  const words = wordsOf(query).map(fold);
  if (words.length === 0) return null;
  return (text) => {
    const folded = fold(text);
    const ranges: Range[] = [];
    for (const word of words) {
      let at = folded.indexOf(word);
      while (at >= 0 && ranges.length < HITS_MAX) {
        ranges.push([at, at + word.length]);
        at = folded.indexOf(word, at + word.length);
      }
    }
    return merged(ranges);
  };
}

/** Finds a regular expression; null where it can't be marked, though the daemon may know it. */
export function patternFinder(pattern: string, spent?: (steps: number) => void): Finder | null {
  const compiled = pattern === '' ? null : Pattern.of(pattern);
  if (compiled === null) return null;
  return (text) => {
    const ranges = merged(compiled.ranges(text, HITS_MAX));
    spent?.(compiled.steps);
    return ranges;
  };
}

/** A finder that keeps to a budget, and keeps what it found. */
export function paced(find: Finder | null, budget: Budget): Finder | null {
  if (find === null) return null;
  const known = new Map<string, Range[]>();
  return (text) => {
    if (!budget.open()) return [];
    let ranges = known.get(text);
    if (ranges === undefined) {
      ranges = find(text);
      if (known.size >= KNOWN_MAX) known.clear();
      known.set(text, ranges);
    }
    budget.spend(ranges.length * MARK);
    return ranges;
  };
}

/** In order, and none in another. */
export function merged(ranges: Range[]): Range[] {
  const sorted = [...ranges].sort((a, b) => a[0] - b[0]);
  const result: Range[] = [];
  for (const [from, to] of sorted) {
    const last = result.at(-1);
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else result.push([from, to]);
  }
  return result;
}

/** A line, ready to be shown. Marks for what can't be seen are no part of what is searched. */
export function segments(message: string, find: Finder | null): Segment[] {
  const found = pieces(message);
  const text = found.map((piece) => (piece.kind === 'text' ? piece.text : '')).join('');
  const ranges = find === null ? [] : find(text);
  const result: Segment[] = [];
  let offset = 0;
  let next = 0;
  for (const piece of found) {
    if (piece.kind === 'mark') {
      result.push({ text: piece.text, style: null, hit: false, title: piece.title });
      continue;
    }
    next = cut(piece, offset, ranges, next, result);
    offset += piece.text.length;
  }
  return result;
}

function cut(
  piece: Extract<Piece, { kind: 'text' }>,
  offset: number,
  ranges: Range[],
  first: number,
  result: Segment[],
): number {
  const { text, style } = piece;
  let at = 0;
  let next = first;
  const push = (to: number, hit: boolean): void => {
    if (to > at) result.push({ text: text.slice(at, to), style, hit, title: null });
    at = Math.max(at, to);
  };
  while (next < ranges.length && ranges[next][0] < offset + text.length) {
    const [from, to] = ranges[next];
    push(Math.min(text.length, from - offset), false);
    push(Math.min(text.length, to - offset), true);
    // It goes on in the next piece.
    if (to > offset + text.length) break;
    next += 1;
  }
  push(text.length, false);
  return next;
}
