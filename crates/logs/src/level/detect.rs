//! Reads the level from what a line says, in the formats loggers write.

use memchr::memmem;

use super::Level;
use crate::line::Stream;

/// How much of the beginning of a line is searched for a level word.
const HEAD: usize = 64;
const TRACEBACK: &[u8] = b"Traceback (most recent call last):";

/// Follows the Python tracebacks through the lines of one stream: what belongs to one is known by what came
/// before it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tracebacks {
    inside: bool,
}

impl Tracebacks {
    /// `inside`: the line before belonged to a traceback that goes on.
    #[must_use]
    pub fn new(inside: bool) -> Self {
        Self { inside }
    }

    /// Whether the next line may belong to a traceback.
    #[must_use]
    pub fn inside(self) -> bool {
        self.inside
    }

    /// Whether this next line belongs to a traceback.
    pub fn follow(&mut self, line: &[u8]) -> bool {
        if is_traceback(line) {
            self.inside = true;
            return true;
        }
        let belongs = self.inside;
        // The first line that is not indented names the exception and is the last.
        self.inside = belongs && matches!(line.first(), Some(b' ' | b'\t'));
        belongs
    }
}

/// The level of a line outside of a traceback (inside it is [`Level::Error`]).
#[must_use]
pub fn level_of(stream: Stream, line: &[u8]) -> Level {
    stated(line).unwrap_or(match stream {
        Stream::Stdout => Level::Info,
        Stream::Stderr => Level::Error,
    })
}

fn is_traceback(line: &[u8]) -> bool {
    line.len() < 512 && memmem::find(line, TRACEBACK).is_some()
}

/// Whether `text` may hold the first line of a traceback.
pub fn may_hold_traceback(text: &[u8]) -> bool {
    memmem::find(text, TRACEBACK).is_some()
}

/// What the line itself says.
fn stated(line: &[u8]) -> Option<Level> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii_start();
    match line.first()? {
        b'{' => json(line),
        b'<' => syslog(line).or_else(|| logfmt(line)).or_else(|| word(line)),
        _ => glog(line).or_else(|| logfmt(line)).or_else(|| word(line)),
    }
}

/// `"level":"warn"`, `"severity":30`, `"lvl":…` at the top of an object. Whole parsing would cost far more
/// than all the rest of a query; keys are looked up as text instead, at depth one and outside of strings.
fn json(line: &[u8]) -> Option<Level> {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(&byte) = line.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b'"' => {
                let end = string_end(line, at)?;
                let key = &line[at + 1..end];
                at = end + 1;
                let after = line.get(at..)?.trim_ascii_start();
                if depth == 1
                    && let Some(value) = after.strip_prefix(b":")
                    && (key == b"level" || key == b"severity" || key == b"lvl")
                {
                    return json_value(value.trim_ascii_start());
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Where the string that opens at `start` closes.
fn string_end(line: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', line.get(at..)?)?;
        if line[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

fn json_value(value: &[u8]) -> Option<Level> {
    if value.first() == Some(&b'"') {
        return Level::from_bytes(&value[1..string_end(value, 0)?]);
    }
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    // The scale of pino and bunyan: 10 trace, 20 debug, 30 info, 40 warn, 50 error, 60 fatal.
    match std::str::from_utf8(&value[..digits]).ok()?.parse::<u32>().ok()? {
        10..30 => Some(Level::Debug),
        30..40 => Some(Level::Info),
        40..50 => Some(Level::Warn),
        50..=60 => Some(Level::Error),
        _ => None,
    }
}

/// `level=warn`, `lvl="warn"`, at the beginning of a word.
fn logfmt(line: &[u8]) -> Option<Level> {
    [&b"level="[..], b"severity=", b"lvl="].iter().find_map(|key| {
        memmem::find_iter(line, key).find_map(|at| {
            if at > 0 && !line[at - 1].is_ascii_whitespace() {
                return None;
            }
            let value = &line[at + key.len()..];
            let value = value.strip_prefix(b"\"").unwrap_or(value);
            Level::from_bytes(&value[..letters(value)])
        })
    })
}

/// `<11>` is facility 1, severity 3 (RFC 5424, 6.2.1).
fn syslog(line: &[u8]) -> Option<Level> {
    let close = line.iter().take(5).position(|&byte| byte == b'>')?;
    let number = line.get(1..close)?;
    if number.is_empty() || !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let priority: u32 = std::str::from_utf8(number).ok()?.parse().ok()?;
    match (priority, priority % 8) {
        (192.., _) => None,
        (_, 0..=3) => Some(Level::Error),
        (_, 4) => Some(Level::Warn),
        (_, 5..=6) => Some(Level::Info),
        _ => Some(Level::Debug),
    }
}

/// `E0102 15:04:05.678901 …`: letter, month and day, time.
fn glog(line: &[u8]) -> Option<Level> {
    let head = line.get(..8)?;
    if !head[1..5].iter().all(u8::is_ascii_digit)
        || head[5] != b' '
        || !head[6..8].iter().all(u8::is_ascii_digit)
    {
        return None;
    }
    match head[0] {
        b'D' => Some(Level::Debug),
        b'I' => Some(Level::Info),
        b'W' => Some(Level::Warn),
        b'E' | b'F' => Some(Level::Error),
        _ => None,
    }
}

/// A level word at the beginning, in brackets, or in capitals between spaces, in the first 64 characters.
///
/// A lower-case word counts only where a logger would put it (`error: …`, `[warn]`), so that "no error found"
/// stays what it is.
fn word(line: &[u8]) -> Option<Level> {
    let head = &line[..line.len().min(HEAD)];
    let mut at = 0;
    let mut first = true;
    while at < head.len() {
        if head[at] == 0x1b {
            at += colour(&head[at..]);
            continue;
        }
        let length = letters(&head[at..]);
        if length == 0 {
            at += 1;
            continue;
        }
        let word = &head[at..at + length];
        let before = if at == 0 { b' ' } else { head[at - 1] };
        // The word may be cut by the end of the head; what follows is looked up in the whole line.
        let after = line.get(at + length).copied().unwrap_or(b' ');
        if let Some(level) = Level::from_bytes(word)
            && stands_as_level(word, before, after, first)
        {
            return Some(level);
        }
        first = false;
        at += length;
    }
    None
}

fn stands_as_level(word: &[u8], before: u8, after: u8, first: bool) -> bool {
    let capitals = word.iter().all(u8::is_ascii_uppercase);
    let closed = matches!(after, b']' | b')' | b'>' | b'|');
    let bracketed = matches!(before, b'[' | b'(' | b'<' | b'|') && (closed || after == b' ' || after == 0x1b);
    // A colour sequence ends in `m`, which a letter run swallows; so a colour counts as a space here.
    let apart =
        matches!(before, b' ' | b'\t' | b'm' | b'-') && matches!(after, b' ' | b'\t' | b':' | 0x1b | b'-');
    bracketed || (capitals && apart) || (first && after == b':')
}

/// The length of an SGR sequence, or of its escape character alone.
fn colour(text: &[u8]) -> usize {
    if text.get(1) != Some(&b'[') {
        return 1;
    }
    let inner = text[2..].iter().take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
    if text.get(2 + inner) == Some(&b'm') { inner + 3 } else { 1 }
}

fn letters(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_alphabetic()).count()
}
