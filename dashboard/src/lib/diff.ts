// The difference of two texts by lines, for people who changed a few of many.
//
//   a, b ──> common head and tail ──> Myers' greedy search of what is between ──> same / removed / added

export type DiffLine = {
  kind: 'same' | 'removed' | 'added';
  text: string;
  /** From 1; null on the side where the line is not. */
  before: number | null;
  after: number | null;
};
/** Lines of which something changed, or so many that did not. */
export type Hunk = { kind: 'lines'; lines: DiffLine[] } | { kind: 'skipped'; count: number };

/** More edits than this between head and tail: they are shown as one exchange, which is as true and at once there. */
const MOST_EDITS = 1000;

export function diffLines(before: string, after: string): DiffLine[] {
  const a = before.split('\n');
  const b = after.split('\n');
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (
    tail < a.length - head &&
    tail < b.length - head &&
    a[a.length - 1 - tail] === b[b.length - 1 - tail]
  )
    tail++;
  const steps = [
    ...Array.from({ length: head }, () => 'same' as const),
    ...edits(a.slice(head, a.length - tail), b.slice(head, b.length - tail)),
    ...Array.from({ length: tail }, () => 'same' as const),
  ];
  let i = 0;
  let j = 0;
  return steps.map((kind): DiffLine => {
    if (kind === 'removed') return { kind, text: a[i], before: ++i, after: null };
    if (kind === 'added') return { kind, text: b[j], before: null, after: ++j };
    return { kind, text: a[i], before: ++i, after: ++j };
  });
}

/** E. W. Myers, "An O(ND) difference algorithm and its variations", 1986. */
function edits(a: string[], b: string[]): DiffLine['kind'][] {
  const exchange = [...a.map(() => 'removed' as const), ...b.map(() => 'added' as const)];
  // Nothing to search: the common case of lines that were only added, whose search would be the longest.
  if (a.length === 0 || b.length === 0) return exchange;
  const most = Math.min(a.length + b.length, MOST_EDITS);
  const furthest = new Map<number, number>([[1, 0]]);
  const trail: Map<number, number>[] = [];
  for (let d = 0; d <= most; d++) {
    trail.push(new Map(furthest));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && at(furthest, k - 1) < at(furthest, k + 1));
      let x = down ? at(furthest, k + 1) : at(furthest, k - 1) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
      furthest.set(k, x);
      if (x >= a.length && x - k >= b.length) return walkBack(trail, a.length, b.length);
    }
  }
  return exchange;
}

const at = (map: Map<number, number>, k: number): number => map.get(k) ?? -1;

function walkBack(trail: Map<number, number>[], x: number, y: number): DiffLine['kind'][] {
  const steps: DiffLine['kind'][] = [];
  for (let d = trail.length - 1; d >= 0; d--) {
    const furthest = trail[d];
    const k = x - y;
    const down = k === -d || (k !== d && at(furthest, k - 1) < at(furthest, k + 1));
    const before = down ? k + 1 : k - 1;
    const fromX = d === 0 ? 0 : at(furthest, before);
    const fromY = d === 0 ? 0 : fromX - before;
    while (x > fromX && y > fromY) {
      steps.push('same');
      x--;
      y--;
    }
    if (d > 0) steps.push(down ? 'added' : 'removed');
    x = fromX;
    y = fromY;
  }
  return steps.reverse();
}

/** With so many unchanged lines around each change; the others are only counted. */
export function hunks(lines: DiffLine[], around = 3): Hunk[] {
  const near = new Uint8Array(lines.length);
  for (const [i, line] of lines.entries()) {
    if (line.kind !== 'same') near.fill(1, Math.max(0, i - around), i + around + 1);
  }
  const found: Hunk[] = [];
  for (const [i, line] of lines.entries()) {
    const last = found.at(-1);
    if (near[i] === 1) {
      if (last?.kind === 'lines') last.lines.push(line);
      else found.push({ kind: 'lines', lines: [line] });
    } else if (last?.kind === 'skipped') last.count += 1;
    else found.push({ kind: 'skipped', count: 1 });
  }
  return found;
}
