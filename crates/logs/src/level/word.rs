//! A level word where a logger puts it: at the beginning of a line or in brackets, never in what the line tells.
//!
//! ```text
//! 2026-01-01T00:00:00Z  [main]  app.db:  ERROR  connection lost
//! └──────────────── prefix ───────────┘ └ level
//! ```

use std::borrow::Cow;

use super::Level;

/// Characters of a line in which its level is looked for.
const HEAD: usize = 64;
/// Bytes in which a bracket that opens in the head closes.
const REACH: usize = 512;

/// The level word of a line, in capitals or, where only a level can stand, in any case.
pub(super) fn word(line: &[u8]) -> Option<Level> {
    let text = without_colours(&line[..line.len().min(REACH)]);
    let head = Head { text: &text, end: after_characters(&text, HEAD) };
    head.leading(0, text.len(), false).or_else(|| head.bracketed())
}

pub(super) fn letters(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_alphabetic()).count()
}

/// The beginning of a line.
struct Head<'a> {
    text: &'a [u8],
    /// Where level words have to end.
    end: usize,
}

/// What stands before a word.
struct Prefix {
    /// Nothing a sentence could begin with: the word is the first.
    bare: bool,
    /// There was a time.
    timed: bool,
    /// There was a word that is nothing but a name.
    named: bool,
    /// A dash or a bar is next to the word.
    separated: bool,
}

impl Head<'_> {
    /// The level that stands in `from..to` after nothing but what loggers put before it.
    fn leading(&self, from: usize, to: usize, in_brackets: bool) -> Option<Level> {
        let mut prefix = Prefix { bare: true, timed: false, named: false, separated: false };
        let mut at = from;
        while at < to.min(self.end) {
            let rest = &self.text[at..to];
            let space = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            if space > 0 {
                at += space;
                continue;
            }
            if let Some(close) = closing(rest[0]) {
                let length = rest.iter().position(|&byte| byte == close).filter(|_| !in_brackets)?;
                if let Some(level) = self.leading(at + 1, at + length, true) {
                    return Some(level);
                }
                prefix.timed |= is_time(first_token(&rest[1..length]));
                at += length + 1;
                continue;
            }
            let length = letters(rest);
            if let Some(level) = Level::from_bytes(&rest[..length])
                && at + length <= self.end
                && prefix.allows(&rest[..length], &rest[length..], in_brackets)
            {
                return Some(level);
            }
            at += prefix.take(rest)?;
        }
        None
    }

    /// The level that is all there is in some brackets, perhaps after a name: `[warn]`, `[core:error]`.
    fn bracketed(&self) -> Option<Level> {
        self.text[..self.end].iter().enumerate().find_map(|(at, &open)| {
            let close = closing(open).filter(|_| open != b'<')?;
            let after = &self.text[at + 1..];
            let inner = &after[..after.iter().position(|&byte| byte == close)?];
            let level = Level::from_bytes(inner.rsplit(|&byte| byte == b':').next()?.trim_ascii());
            level.filter(|_| at + 1 + inner.len() <= self.end)
        })
    }
}

impl Prefix {
    /// Whether `word`, in front of `after`, can be a level here.
    fn allows(&self, word: &[u8], after: &[u8], in_brackets: bool) -> bool {
        let capitals = word.iter().all(u8::is_ascii_uppercase);
        let ends = match after {
            []
            | [b' ' | b'\t' | b'\r' | b'[' | b']' | b'(' | b')' | b'>' | b'|' | b',' | b';' | b'!', ..] => {
                true
            }
            [b':', next, ..] => *next != b':',
            [b'-', next, ..] => !next.is_ascii_alphanumeric(),
            [b'/', ..] => capitals,
            [last] => matches!(last, b':' | b'-' | b'.'),
            _ => false,
        };
        let labels = after.first() == Some(&b':');
        let rest = after.trim_ascii();
        let between = self.separated && rest.first().copied().is_some_and(is_mark);
        let alone = in_brackets && rest.is_empty();
        ends && (capitals || labels || between || alone || (self.bare && is_common(word)))
    }

    /// The bytes at the beginning of `rest` that may stand before a level; `None` where what is told begins.
    fn take(&mut self, rest: &[u8]) -> Option<usize> {
        let token = first_token(rest);
        let marks = token.iter().take_while(|&&byte| is_mark(byte)).count();
        let separated = std::mem::replace(&mut self.separated, false);
        if is_number(token) {
            self.timed |= is_time(token);
            self.bare &= self.timed;
        } else if marks > 0 {
            self.separated = true;
            return Some(marks);
        } else if is_zone(token) && self.timed
            || is_day(token) && is_dated(&rest[token.len()..])
            || is_initial(token)
        {
            self.separated = separated;
        } else if let Some(colon) = label(token) {
            // After `name[pid]:` the line begins; other labels may be the beginning of a sentence.
            self.bare = token[..colon].ends_with(b"]");
            return Some(colon + 1);
        } else {
            self.bare = false;
            self.takes_name(token, &rest[token.len()..]).then_some(())?;
        }
        Some(token.len())
    }

    /// Whether a token can be the name of a logger, a host or a process.
    fn takes_name(&mut self, token: &[u8], after: &[u8]) -> bool {
        if token.iter().copied().any(is_told) {
            return false;
        }
        let set_off = after.trim_ascii_start().first().copied().is_some_and(is_mark);
        // One plain word after a time is a name; two are the beginning of a sentence.
        is_name(token) || set_off || (self.timed && !std::mem::replace(&mut self.named, true))
    }
}

fn first_token(text: &[u8]) -> &[u8] {
    text.split(u8::is_ascii_whitespace).next().unwrap_or(text)
}

/// `1234`, `+0000`, `#17]`, `12:00:01`.
fn is_number(token: &[u8]) -> bool {
    let digits = token.strip_prefix(b"+").or(token.strip_prefix(b"-")).or(token.strip_prefix(b"#"));
    digits.unwrap_or(token).first().is_some_and(u8::is_ascii_digit)
}

/// Keeps words apart.
fn is_mark(byte: u8) -> bool {
    matches!(byte, b'-' | b'|' | b':' | b'>' | b'*' | b'~')
}

fn closing(open: u8) -> Option<u8> {
    match open {
        b'[' => Some(b']'),
        b'(' => Some(b')'),
        b'<' => Some(b'>'),
        _ => None,
    }
}

/// Level words that also begin a line without capitals or a colon; the others begin sentences.
fn is_common(word: &[u8]) -> bool {
    const COMMON: [&[u8]; 8] = [b"error", b"err", b"warn", b"warning", b"info", b"debug", b"trace", b"fatal"];
    COMMON.iter().any(|common| common.eq_ignore_ascii_case(word))
}

/// `15:04:05,123`, `2026-01-02`, `2026/01/02`, `1767323045.123`.
fn is_time(token: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let first = digits(token);
    let second = token.get(first + 1..).map_or(0, digits);
    match token.get(first) {
        Some(b':') => first <= 2 && second == 2,
        Some(b'-' | b'/') => second > 0 && (first == 4 || second == 4 || first == 2),
        _ => first >= 10,
    }
}

/// `Mon,` or `Jan`.
fn is_day(token: &[u8]) -> bool {
    const DAYS: &[u8] = b"MonTueWedThuFriSatSunJanFebMarAprMayJunJulAugSepOctNovDec";
    DAYS.chunks(3).any(|day| token.strip_suffix(b",").unwrap_or(token) == day)
}

/// Whether a date goes on in `text`.
fn is_dated(text: &[u8]) -> bool {
    let next = first_token(text.trim_ascii_start());
    is_number(next) || is_day(next)
}

/// `PM`, `UTC`, `CEST`.
fn is_zone(token: &[u8]) -> bool {
    let short = token.len() <= 4 && token.iter().all(u8::is_ascii_uppercase);
    short && matches!(token, b"AM" | b"PM" | b"UTC" | [_, .., b'T'])
}

/// Ruby's logger begins with the level's initial: `E, [2026-01-01 …] ERROR -- : …`.
fn is_initial(token: &[u8]) -> bool {
    matches!(token, [b'A'..=b'Z', b','])
}

/// Where the label at the beginning of a token ends: `prog[12]:`, `root:ERROR:…`, `production.ERROR:`, but not
/// within `a::b`.
fn label(token: &[u8]) -> Option<usize> {
    let ends = |&at: &usize| {
        let (before, after) = (&token[..at], &token[at + 1..]);
        let word = &after[..letters(after)];
        let fits = match token[at] {
            b':' => before.last() != Some(&b':') && (after.is_empty() || !word.is_empty()),
            b'.' => {
                after.get(word.len()) == Some(&b':')
                    && word.iter().all(u8::is_ascii_uppercase)
                    && Level::from_bytes(word).is_some()
            }
            _ => false,
        };
        fits && !before.iter().copied().any(is_told)
    };
    (1..token.len()).find(ends)
}

/// In no name of a logger.
fn is_told(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'=' | b'{' | b'}')
}

/// `com.example.Main`, `app::db`, `src/main.rs`, `worker[12]`: no word of a sentence.
fn is_name(token: &[u8]) -> bool {
    let inner = token.iter().enumerate().any(|(at, byte)| {
        matches!(byte, b'.' | b'/' | b'@' | b':') && token.get(at + 1).is_some_and(u8::is_ascii_alphanumeric)
    });
    inner || (token.contains(&b'[') && token.last() == Some(&b']'))
}

/// The offset after so many characters of `text`.
fn after_characters(text: &[u8], characters: usize) -> usize {
    let begins = |byte: u8| byte & 0b1100_0000 != 0b1000_0000;
    let starts = text.iter().enumerate().filter(|&(_, &byte)| begins(byte));
    starts.map(|(at, _)| at).nth(characters).unwrap_or(text.len())
}

/// Terminal colours (SGR sequences) are not part of the text.
fn without_colours(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(mut escape) = memchr::memchr(0x1b, text) else { return Cow::Borrowed(text) };
    let (mut clean, mut rest) = (Vec::with_capacity(text.len()), text);
    loop {
        clean.extend_from_slice(&rest[..escape]);
        rest = &rest[escape + colour(&rest[escape..])..];
        match memchr::memchr(0x1b, rest) {
            Some(next) => escape = next,
            None => break,
        }
    }
    clean.extend_from_slice(rest);
    Cow::Owned(clean)
}

/// The length of an SGR sequence, or of its escape character alone.
fn colour(text: &[u8]) -> usize {
    if text.get(1) != Some(&b'[') {
        return 1;
    }
    let inner = text[2..].iter().take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
    if text.get(2 + inner) == Some(&b'm') { inner + 3 } else { 1 }
}
