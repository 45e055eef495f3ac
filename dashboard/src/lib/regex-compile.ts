// The syntax of Rust's regex crate, as far as people write it in a search: literals, classes, groups, alternatives,
// repetitions, anchors, flags. Anything else throws.

export type Test = (code: number) => boolean;
export type Step =
  | { do: 'one'; test: Test }
  | { do: 'fork'; first: number; other: number }
  | { do: 'go'; to: number }
  | { do: 'look'; holds: (text: string, at: number) => boolean }
  | { do: 'match' };

type Node =
  | { is: 'one'; test: Test }
  | { is: 'look'; holds: (text: string, at: number) => boolean }
  | { is: 'row'; items: Node[] }
  | { is: 'or'; items: Node[] }
  | { is: 'times'; item: Node; min: number; max: number; greedy: boolean };
type Flags = { i: boolean; m: boolean; s: boolean; U: boolean; x: boolean };

const STEPS_MAX = 3000;
/** Nodes that are gone through for it: what is empty makes no steps, however often it is repeated. */
const VISITS_MAX = 20_000;
const DEPTH_MAX = 50;
const fail = (): never => {
  throw new SyntaxError('not known here');
};

/** The program of a pattern; throws a SyntaxError for what is not known here. */
export function compile(source: string): Step[] {
  const steps: Step[] = [];
  visits = 0;
  emit(new Parser(source).whole(), steps);
  steps.push({ do: 'match' });
  return steps;
}

let visits = 0;
function emit(node: Node, steps: Step[]): void {
  if (steps.length > STEPS_MAX || ++visits > VISITS_MAX) fail();
  if (node.is === 'one') steps.push({ do: 'one', test: node.test });
  else if (node.is === 'look') steps.push({ do: 'look', holds: node.holds });
  else if (node.is === 'row') for (const item of node.items) emit(item, steps);
  else if (node.is === 'or') alternatives(node.items, steps);
  else repetition(node, steps);
}

function alternatives(items: Node[], steps: Step[]): void {
  const ends: { do: 'go'; to: number }[] = [];
  items.forEach((item, i) => {
    if (i === items.length - 1) return emit(item, steps);
    const fork = { do: 'fork' as const, first: steps.length + 1, other: 0 };
    steps.push(fork);
    emit(item, steps);
    const end = { do: 'go' as const, to: 0 };
    steps.push(end);
    ends.push(end);
    fork.other = steps.length;
  });
  for (const end of ends) end.to = steps.length;
}

function repetition(node: Extract<Node, { is: 'times' }>, steps: Step[]): void {
  for (let i = 0; i < node.min; i++) emit(node.item, steps);
  const fork = (): { do: 'fork'; first: number; other: number } => ({ do: 'fork', first: 0, other: 0 });
  const aim = (one: { first: number; other: number }, body: number, after: number): void => {
    one.first = node.greedy ? body : after;
    one.other = node.greedy ? after : body;
  };
  if (node.max === Infinity) {
    const loop = fork();
    const top = steps.push(loop) - 1;
    emit(node.item, steps);
    steps.push({ do: 'go', to: top });
    aim(loop, top + 1, steps.length);
    return;
  }
  const forks: [ReturnType<typeof fork>, number][] = [];
  for (let i = node.min; i < node.max; i++) {
    const one = fork();
    forks.push([one, steps.push(one)]);
    emit(node.item, steps);
  }
  for (const [one, body] of forks) aim(one, body, steps.length);
}

const isWord = (code: number): boolean =>
  (code >= 48 && code <= 57) ||
  (code >= 65 && code <= 90) ||
  code === 95 ||
  (code >= 97 && code <= 122) ||
  (code > 127 && /[\p{L}\p{M}\p{Nd}\p{Pc}]/u.test(String.fromCodePoint(code)));
const isDigit = (code: number): boolean =>
  (code >= 48 && code <= 57) || (code > 127 && /\p{Nd}/u.test(String.fromCodePoint(code)));
const isSpace = (code: number): boolean => /\s/u.test(String.fromCodePoint(code));
const POSIX: Record<string, RegExp> = {
  alnum: /[0-9A-Za-z]/,
  alpha: /[A-Za-z]/,
  ascii: /[\0-\x7f]/,
  blank: /[\t ]/,
  cntrl: /[\0-\x1f\x7f]/,
  digit: /[0-9]/,
  graph: /[!-~]/,
  lower: /[a-z]/,
  print: /[ -~]/,
  punct: /[!-/:-@[-`{-~]/,
  space: /[\t\n\v\f\r ]/,
  upper: /[A-Z]/,
  word: /[0-9A-Za-z_]/,
  xdigit: /[0-9A-Fa-f]/,
};
const CONTROLS: Record<string, number> = { n: 10, t: 9, r: 13, f: 12, v: 11, a: 7 };

/** Both cases of a character count. */
function folded(test: Test, flags: Flags): Test {
  if (!flags.i) return test;
  return (code) => {
    if (test(code)) return true;
    const char = String.fromCodePoint(code);
    return [char.toLowerCase(), char.toUpperCase()].some(
      (other) => other !== char && test(other.codePointAt(0) ?? 0),
    );
  };
}

const wordAt = (text: string, at: number): boolean =>
  at >= 0 && at < text.length && isWord(text.charCodeAt(at));
const boundary = (text: string, at: number): boolean => wordAt(text, at - 1) !== wordAt(text, at);

class Parser {
  private at = 0;
  private depth = 0;

  constructor(private readonly source: string) {}

  whole(): Node {
    const node = this.either({ i: false, m: false, s: false, U: false, x: false });
    return this.at < this.source.length ? fail() : node;
  }

  private either(outer: Flags): Node {
    if (++this.depth > DEPTH_MAX) fail();
    // Flags that are set within hold to the end of the group, over its alternatives too.
    const flags = { ...outer };
    const items = [this.row(flags)];
    while (this.takes('|')) items.push(this.row(flags));
    this.depth -= 1;
    return items.length === 1 ? items[0] : { is: 'or', items };
  }

  private row(flags: Flags): Node {
    const items: Node[] = [];
    while (this.at < this.source.length && this.source[this.at] !== '|' && this.source[this.at] !== ')') {
      if (flags.x && this.skips()) continue;
      const atom = this.atom(flags);
      if (atom !== null) items.push(this.repeated(atom, flags));
    }
    return { is: 'row', items };
  }

  private skips(): boolean {
    const char = this.source[this.at];
    if (char === '#') {
      const end = this.source.indexOf('\n', this.at);
      this.at = end < 0 ? this.source.length : end + 1;
      return true;
    }
    if (!/\s/.test(char)) return false;
    this.at += 1;
    return true;
  }

  private repeated(atom: Node, flags: Flags): Node {
    let node = atom;
    for (;;) {
      const times = this.times();
      if (times === null) return node;
      const lazy = this.takes('?');
      node = { is: 'times', item: node, min: times[0], max: times[1], greedy: lazy === flags.U };
    }
  }

  private times(): [number, number] | null {
    if (this.takes('*')) return [0, Infinity];
    if (this.takes('+')) return [1, Infinity];
    if (this.takes('?')) return [0, 1];
    if (this.source[this.at] !== '{') return null;
    const given = /^\{\s*(\d{1,4})\s*(,\s*(\d{0,4})\s*)?\}/.exec(this.source.slice(this.at, this.at + 30));
    if (given === null) return fail();
    this.at += given[0].length;
    const min = Number(given[1]);
    const max = given[2] === undefined ? min : given[3] === '' ? Infinity : Number(given[3]);
    return max < min ? fail() : [min, max];
  }

  private atom(flags: Flags): Node | null {
    const char = this.char();
    if (char === '(') return this.group(flags);
    if (char === '[') return { is: 'one', test: this.set(flags) };
    if (char === '.') return { is: 'one', test: flags.s ? () => true : (code) => code !== 10 };
    const { m } = flags;
    if (char === '^') return { is: 'look', holds: (text, at) => at === 0 || (m && text[at - 1] === '\n') };
    if (char === '$')
      return { is: 'look', holds: (text, at) => at === text.length || (m && text[at] === '\n') };
    if (char === '\\') return this.escaped(flags);
    if ('*+?{'.includes(char)) return fail();
    const wanted = char.codePointAt(0);
    return { is: 'one', test: folded((code) => code === wanted, flags) };
  }

  private group(flags: Flags): Node | null {
    let inner = flags;
    if (this.takes('?')) {
      const name = /^P?<[A-Za-z_][\w.[\]]*>/.exec(this.source.slice(this.at));
      if (name !== null) this.at += name[0].length;
      else {
        const given = /^([imsUux]*)(?:-([imsUux]+))?([:)])/.exec(this.source.slice(this.at));
        if (given === null) return fail();
        this.at += given[0].length;
        const changed = given[3] === ')' ? flags : { ...flags };
        for (const flag of given[1]) changed[flag as keyof Flags] = true;
        for (const flag of given[2] ?? '') changed[flag as keyof Flags] = false;
        if (given[3] === ')') return null;
        inner = changed;
      }
    }
    const node = this.either(inner);
    return this.takes(')') ? node : fail();
  }

  private escaped(flags: Flags): Node {
    const char = this.source[this.at] ?? '';
    const looks: Record<string, (text: string, at: number) => boolean> = {
      b: boundary,
      B: (text, at) => !boundary(text, at),
      A: (_, at) => at === 0,
      z: (text, at) => at === text.length,
    };
    if (char in looks) {
      this.at += 1;
      if (this.source[this.at] === '{') fail();
      return { is: 'look', holds: looks[char] };
    }
    return { is: 'one', test: folded(this.escape(), flags) };
  }

  /** What follows a backslash, within a class or not. */
  private escape(): Test {
    const char = this.char();
    const classes: Record<string, Test> = { d: isDigit, w: isWord, s: isSpace };
    const known = classes[char.toLowerCase()];
    if (known !== undefined) return char === char.toLowerCase() ? known : (code) => !known(code);
    if (char === 'p' || char === 'P') return this.property(char === 'P');
    const wanted = this.literal(char);
    return (code) => code === wanted;
  }

  private literal(char: string): number {
    if (char in CONTROLS) return CONTROLS[char];
    if (char === 'x' || char === 'u' || char === 'U') {
      const digits = { x: 2, u: 4, U: 8 }[char];
      const given = new RegExp(`^(?:\\{([0-9A-Fa-f]{1,8})\\}|([0-9A-Fa-f]{${digits}}))`).exec(
        this.source.slice(this.at),
      );
      if (given === null) return fail();
      this.at += given[0].length;
      return parseInt(given[1] ?? given[2], 16);
    }
    if (/[0-9A-Za-z]/.test(char)) return fail();
    return char.codePointAt(0) ?? fail();
  }

  private property(not: boolean): Test {
    const given = /^(?:\{(\^?)([\w=]+)\}|([A-Z]))/.exec(this.source.slice(this.at));
    if (given === null) return fail();
    this.at += given[0].length;
    const name = given[2] ?? given[3];
    let pattern: RegExp;
    try {
      pattern = new RegExp(`\\p{${name}}`, 'u');
    } catch {
      pattern = new RegExp(`\\p{Script=${name}}`, 'u');
    }
    const turned = not !== (given[1] === '^');
    return (code) => pattern.test(String.fromCodePoint(code)) !== turned;
  }

  private set(flags: Flags): Test {
    if (++this.depth > DEPTH_MAX) fail();
    const not = this.takes('^');
    const tests: Test[] = [];
    for (let first = true; ; first = false) {
      if (this.at >= this.source.length) return fail();
      if (!first && this.takes(']')) break;
      if (/^(&&|--|~~)/.test(this.source.slice(this.at)) && !first) return fail();
      tests.push(this.member(flags));
    }
    this.depth -= 1;
    // Cases are alike before `^` turns the set around, as in Rust.
    const any = folded((code) => tests.some((test) => test(code)), flags);
    return (code) => any(code) !== not;
  }

  private member(flags: Flags): Test {
    const posix = /^\[:(\^?)(\w+):\]/.exec(this.source.slice(this.at, this.at + 16));
    if (posix !== null) {
      const pattern = POSIX[posix[2]] ?? fail();
      this.at += posix[0].length;
      return (code) => pattern.test(String.fromCodePoint(code)) === (posix[1] === '');
    }
    if (this.takes('[')) return this.set(flags);
    const from = this.bound();
    if (typeof from !== 'number') return from;
    if (this.source[this.at] !== '-' || this.source[this.at + 1] === ']') return (code) => code === from;
    this.at += 1;
    const to = this.bound();
    return typeof to === 'number' && to >= from ? (code) => code >= from && code <= to : fail();
  }

  private bound(): number | Test {
    const char = this.char();
    if (char !== '\\') return char.codePointAt(0) ?? fail();
    if (/[dDwWsSpP]/.test(this.source[this.at] ?? '')) return this.escape();
    return this.literal(this.char());
  }

  private char(): string {
    const code = this.source.codePointAt(this.at);
    if (code === undefined) return fail();
    const char = String.fromCodePoint(code);
    this.at += char.length;
    return char;
  }

  private takes(char: string): boolean {
    if (this.source[this.at] !== char) return false;
    this.at += 1;
    return true;
  }
}
