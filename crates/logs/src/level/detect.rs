//! Reads the level from what a line says, in the formats loggers write.

use std::sync::LazyLock;

use memchr::memmem::{self, Finder};

use super::{
    Level,
    word::{letters, word},
};
use crate::line::Stream;

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

/// `level=warn`, `lvl="warn"`: a field of the line, not something that another field quotes.
fn logfmt(line: &[u8]) -> Option<Level> {
    const KEYS: [&[u8]; 3] = [b"level=", b"severity=", b"lvl="];
    static FINDERS: LazyLock<[Finder<'static>; 3]> = LazyLock::new(|| KEYS.map(Finder::new));
    FINDERS.iter().find(|key| key.find(line).is_some())?;
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let value = KEYS.iter().find_map(|key| rest.strip_prefix(*key));
        if let Some(level) = value.and_then(field_value) {
            return Some(level);
        }
        rest = rest[field_end(rest)..].trim_ascii_start();
    }
    None
}

fn field_value(value: &[u8]) -> Option<Level> {
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    let (word, after) = value.split_at(letters(value));
    Level::from_bytes(word).filter(|_| after.first().is_none_or(|byte| !byte.is_ascii_alphanumeric()))
}

/// Where the field at the beginning of `text` ends: at white space that is not quoted.
fn field_end(text: &[u8]) -> usize {
    let name = text.iter().position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'='));
    let value = name.map_or(0, |at| at + usize::from(text[at] == b'='));
    let quoted = text.get(value) == Some(&b'"');
    // A quote that is never closed quotes nothing.
    let from = quoted.then(|| string_end(text, value)).flatten().unwrap_or(0);
    text[from..].iter().position(u8::is_ascii_whitespace).map_or(text.len(), |at| from + at)
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
