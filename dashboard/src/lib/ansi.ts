// A line of a log as pieces that are safe to show: colours of SGR become styles, all other escapes and what can't be seen
// become marks, so that a reader sees that something was there. Nothing is ever interpreted but SGR.
//
//   'a\x1b[31mb\x1b[2Jc' ──> 'a', 'b' (red), mark ␛ 'ESC[2J', 'c' (red)

/** One of the 16 colours of a terminal, or `#rrggbb`. */
export type Colour = number | string;
export type Style = {
  fg: Colour | null;
  bg: Colour | null;
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
  strike: boolean;
  inverse: boolean;
};
export type Piece =
  | { kind: 'text'; text: string; style: Style | null }
  /** Something that can't be shown as it is; `title` says what. */
  | { kind: 'mark'; text: string; title: string; escape: boolean };

/** More pieces than this are not made of a line: a line that changes its colour at each letter stays cheap. */
const PIECES_MAX = 500;
const PARAMS_MAX = 64;
/** The mark of a sequence that is not carried out. */
const ESCAPE = '‹ESC›';
/** A sequence that begins with these goes on to its terminator: device control, titles, links, the clipboard. */
const STRINGS: Record<string, string> = {
  ']': 'OSC',
  P: 'DCS',
  X: 'SOS',
  '^': 'PM',
  _: 'APC',
};

// What is not seen, or turns around what is: C0 but the tab, C1, soft hyphen, bidi controls, zero widths, separators, tags,
// surrogates without their other half.
const UNSEEN =
  // eslint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e007f}\p{Cs}]/u;
const PICTURE = /\p{Extended_Pictographic}|\p{Emoji_Modifier}|\ufe0f/u;

/** The pieces of a line. */
export function pieces(text: string): Piece[] {
  if (!UNSEEN.test(text)) return text === '' ? [] : [{ kind: 'text', text, style: null }];
  return new Scanner(text).run();
}

/** The line as it is read: without escapes, with marks for what can't be seen. What is copied is this. */
export function plain(text: string): string {
  return pieces(text)
    .map((piece) => (piece.kind === 'text' ? piece.text : piece.escape ? '' : piece.text))
    .join('');
}

class Scanner {
  private readonly found: Piece[] = [];
  private style: Style | null = null;
  private from = 0;
  private at = 0;

  constructor(private readonly text: string) {}

  run(): Piece[] {
    const { text } = this;
    while (this.at < text.length) {
      const code = text.codePointAt(this.at) ?? 0;
      const char = String.fromCodePoint(code);
      if (!UNSEEN.test(char) || this.joins(code)) {
        this.at += char.length;
        continue;
      }
      this.flush();
      if (this.found.length >= PIECES_MAX) return this.rest();
      if (code === 0x1b || code === 0x9b || code === 0x9d || code === 0x90) this.escape(code);
      else this.unseen(code, char);
      this.from = this.at;
    }
    this.flush();
    return this.found;
  }

  /** A joiner between pictures, or in a script that needs it, is no trick. */
  private joins(code: number): boolean {
    if (code !== 0x200d && code !== 0x200c) return false;
    const next = this.text.codePointAt(this.at + 1) ?? 0;
    const unit = this.text.charCodeAt(this.at - 1) || 0;
    const pair = unit >= 0xdc00 && unit < 0xe000;
    const before = this.text.slice(Math.max(0, this.at - (pair ? 2 : 1)), this.at);
    return next > 0x2ff && next !== code && (PICTURE.test(before) || (unit > 0x2ff && unit < 0x2000));
  }

  private flush(): void {
    if (this.at > this.from)
      this.found.push({ kind: 'text', text: this.text.slice(this.from, this.at), style: turned(this.style) });
    this.from = this.at;
  }

  /** Too many pieces: what follows has no colours, and its escapes are letters. */
  private rest(): Piece[] {
    const text = [...this.text.slice(this.at)]
      .map((char) => (UNSEEN.test(char) ? nameOf(char) : char))
      .join('');
    this.found.push({ kind: 'text', text, style: null });
    return this.found;
  }

  private unseen(code: number, char: string): void {
    let end = this.at + char.length;
    while (this.text.startsWith(char, end)) end += char.length;
    const times = (end - this.at) / char.length;
    const name = nameOf(char);
    const hex = `U+${code.toString(16).toUpperCase().padStart(4, '0')}`;
    this.mark(times > 1 ? `${name}×${times}` : name, times > 1 ? `${times} times ${hex}` : hex);
    this.at = end;
  }

  private escape(code: number): void {
    const { text } = this;
    const long = code === 0x1b;
    const kind = long ? (text[this.at + 1] ?? '') : code === 0x9b ? '[' : code === 0x9d ? ']' : 'P';
    const body = this.at + (long ? 2 : 1);
    if (kind === '[') this.control(body);
    else if (kind in STRINGS) this.string(body, STRINGS[kind]);
    else this.other();
  }

  /** CSI (ECMA-48, 5.4): parameters, intermediates, one final. */
  private control(body: number): void {
    const { text } = this;
    let end = body;
    while (end < text.length && text[end] >= '0' && text[end] <= '?') end++;
    const params = text.slice(body, end);
    const plainParams = end;
    while (end < text.length && text[end] >= ' ' && text[end] <= '/') end++;
    const final = text[end] ?? '';
    if (final < '@' || final > '~') return this.drop(end, 'ESC[');
    if (final === 'm' && plainParams === end && /^[0-9;:]*$/.test(params)) {
      this.style = applied(this.style, params);
      this.at = end + 1;
    } else this.drop(end + 1, 'ESC[');
  }

  /** One that is never ended would hide the rest of the line: then only its beginning goes. */
  private string(body: number, name: string): void {
    const { text } = this;
    for (let end = body; end < text.length; end++) {
      const char = text[end];
      if (char === '\x07' || char === '\x9c') return this.drop(end + 1, name);
      if (char === '\x1b') return this.drop(text[end + 1] === '\\' ? end + 2 : body, name);
    }
    this.drop(body, name);
  }

  private other(): void {
    const { text } = this;
    let end = this.at + 1;
    while (end < text.length && text[end] >= ' ' && text[end] <= '/') end++;
    const final = text[end] ?? '';
    this.drop(final >= '0' && final <= '~' ? end + 1 : this.at + 1, 'ESC');
  }

  private drop(end: number, name: string): void {
    const shown = [...this.text.slice(this.at + 1, Math.min(end, this.at + 60))]
      .map((char) => (UNSEEN.test(char) ? nameOf(char) : char))
      .join('');
    this.mark(ESCAPE, `Terminal sequence, not carried out (${name}): ESC${shown}`);
    this.at = end;
  }

  private mark(text: string, title: string): void {
    const escape = text === ESCAPE;
    const last = this.found.at(-1);
    // A hundred of them in a row are one.
    if (escape && last?.kind === 'mark' && last.escape) {
      last.text = `${ESCAPE}×${(Number(last.text.slice(ESCAPE.length + 1)) || 1) + 1}`;
      return;
    }
    this.found.push({ kind: 'mark', text, title, escape });
  }
}

// Few fonts have pictures of them.
const NAMES =
  'NUL SOH STX ETX EOT ENQ ACK BEL BS HT LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US'.split(
    ' ',
  );

/** What stands for a character that can't be seen. */
function nameOf(char: string): string {
  const code = char.codePointAt(0) ?? 0;
  if (code < 0x20) return `‹${NAMES[code]}›`;
  if (code === 0x7f) return '‹DEL›';
  return `‹${code.toString(16).toUpperCase().padStart(4, '0')}›`;
}

const NOTHING: Style = {
  fg: null,
  bg: null,
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  strike: false,
  inverse: false,
};

/** As it is shown: colours that are set while it is turned around are turned around too. */
function turned(style: Style | null): Style | null {
  return style?.inverse ? { ...style, fg: style.bg, bg: style.fg ?? 8 } : style;
}

/** The style after an SGR (ECMA-48, 8.3.117; colours of 256 and of 24 bits as xterm has them). */
function applied(before: Style | null, params: string): Style | null {
  const style = { ...(before ?? NOTHING) };
  const codes = params.split(/[;:]/, PARAMS_MAX).map((one) => (one === '' ? 0 : Math.min(999, Number(one))));
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i];
    if (code === 38 || code === 48) {
      const { colour, used } = extended(codes, i + 1);
      i += used;
      if (colour !== null) style[code === 38 ? 'fg' : 'bg'] = colour;
    } else simple(style, code);
  }
  return Object.values(style).some((value) => value !== null && value !== false) ? style : null;
}

function simple(style: Style, code: number): void {
  if (code === 0) Object.assign(style, NOTHING);
  else if (code === 1) style.bold = true;
  else if (code === 2) style.dim = true;
  else if (code === 3) style.italic = true;
  else if (code === 4 || code === 21) style.underline = true;
  else if (code === 7) style.inverse = true;
  else if (code === 9) style.strike = true;
  else if (code === 22) style.bold = style.dim = false;
  else if (code === 23) style.italic = false;
  else if (code === 24) style.underline = false;
  else if (code === 27) style.inverse = false;
  else if (code === 29) style.strike = false;
  else if (code >= 30 && code <= 37) style.fg = code - 30;
  else if (code === 39) style.fg = null;
  else if (code >= 40 && code <= 47) style.bg = code - 40;
  else if (code === 49) style.bg = null;
  else if (code >= 90 && code <= 97) style.fg = code - 82;
  else if (code >= 100 && code <= 107) style.bg = code - 92;
}

function extended(codes: number[], i: number): { colour: Colour | null; used: number } {
  if (codes[i] === 5) return { colour: indexed(codes[i + 1]), used: 2 };
  if (codes[i] !== 2) return { colour: null, used: 0 };
  const rgb = codes.slice(i + 1, i + 4);
  if (rgb.length < 3 || rgb.some((one) => one > 255)) return { colour: null, used: 4 };
  return { colour: hex(rgb), used: 4 };
}

function indexed(index: number | undefined): Colour | null {
  if (index === undefined || index > 255) return null;
  if (index < 16) return index;
  if (index >= 232) return hex(Array<number>(3).fill(8 + (index - 232) * 10));
  const step = (n: number): number => (n === 0 ? 0 : 55 + n * 40);
  const cube = index - 16;
  return hex([step(Math.floor(cube / 36)), step(Math.floor(cube / 6) % 6), step(cube % 6)]);
}

const hex = (rgb: number[]): string => `#${rgb.map((one) => one.toString(16).padStart(2, '0')).join('')}`;
