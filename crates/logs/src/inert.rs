//! Text of strangers on a terminal.

use std::{borrow::Cow, fmt::Write};

/// Shows control characters instead of obeying them: C0 and DEL as `^[`, C1, bidirectional overrides and
/// U+2028/2029 as `\u{9b}`. A tab stays.
#[must_use]
pub fn inert(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find(acts) else { return Cow::Borrowed(text) };
    let (clean, rest) = text.split_at(first);
    let mut shown = String::with_capacity(text.len() + 16);
    shown.push_str(clean);
    for c in rest.chars() {
        match c {
            c if !acts(c) => shown.push(c),
            '\0'..='\x1f' => shown.extend(['^', char::from(c as u8 ^ 0x40)]),
            '\x7f' => shown.push_str("^?"),
            c => {
                let _ = write!(shown, "{}", c.escape_unicode());
            }
        }
    }
    Cow::Owned(shown)
}

fn acts(c: char) -> bool {
    (c.is_control() && c != '\t')
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
