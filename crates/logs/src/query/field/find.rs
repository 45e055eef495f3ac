//! Where the value of a field is.

use std::borrow::Cow;

/// The value of the field `name`: what a string says, everything else as it is written.
pub(super) fn find<'a>(line: &'a [u8], name: &str) -> Option<Cow<'a, [u8]>> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii_start();
    match line.first()? {
        b'{' => Walk { bytes: line, at: 0 }.member(name.as_bytes()),
        _ => pair(line, name.as_bytes()),
    }
}

/// What a string between two quotes says.
fn unescaped(inside: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', inside).is_none() {
        return Cow::Borrowed(inside);
    }
    let quoted = [b"\"", inside, b"\""].concat();
    // Half a surrogate, or bytes that are no text: as it is written then.
    serde_json::from_slice::<String>(&quoted)
        .map_or(Cow::Borrowed(inside), |text| Cow::Owned(text.into_bytes()))
}

/// Where the string that opens at `start` closes.
fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// Goes through JSON from left to right. What is no JSON ends it.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// What is between the quotes of the string that begins here.
    fn string(&mut self) -> Option<&'a [u8]> {
        let end = string_end(self.bytes, self.at)?;
        let inside = &self.bytes[self.at + 1..end];
        self.at = end + 1;
        Some(inside)
    }

    /// The member `name` of the object that begins here, or one of an object in it. As deep as `name` has dots.
    fn member(&mut self, name: &[u8]) -> Option<Cow<'a, [u8]>> {
        self.at += 1;
        loop {
            self.space();
            match self.peek()? {
                b'"' => {}
                b',' => {
                    self.at += 1;
                    continue;
                }
                _ => {
                    self.at += 1;
                    return None;
                }
            }
            let key = unescaped(self.string()?);
            self.space();
            if self.peek()? != b':' {
                self.at = self.bytes.len();
                return None;
            }
            self.at += 1;
            self.space();
            if *key == *name {
                return self.value();
            }
            let under = name.strip_prefix(&*key).and_then(|rest| rest.strip_prefix(b"."));
            match (under, self.peek()?) {
                (Some(rest), b'{') => {
                    if let Some(found) = self.member(rest) {
                        return Some(found);
                    }
                }
                _ => drop(self.skip()?),
            }
        }
    }

    fn value(&mut self) -> Option<Cow<'a, [u8]>> {
        match self.peek()? {
            b'"' => self.string().map(unescaped),
            _ => self.skip().map(Cow::Borrowed),
        }
    }

    /// The value that begins here, as it is written.
    fn skip(&mut self) -> Option<&'a [u8]> {
        let (start, mut depth) = (self.at, 0usize);
        loop {
            match self.peek()? {
                b'"' => drop(self.string()?),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' if depth == 0 => break,
                b'}' | b']' => {
                    depth -= 1;
                    self.at += 1;
                }
                b',' if depth == 0 => break,
                _ => {
                    self.at += 1;
                    continue;
                }
            }
            if depth == 0 {
                break;
            }
        }
        let value = self.bytes[start..self.at].trim_ascii_end();
        (!value.is_empty()).then_some(value)
    }
}

/// The value of the first pair `name=value`; not of something that another one quotes.
fn pair<'a>(line: &'a [u8], name: &[u8]) -> Option<Cow<'a, [u8]>> {
    let mut rest = line;
    while !rest.is_empty() {
        let plain = |byte: &u8| !byte.is_ascii_whitespace() && !matches!(byte, b'=' | b'"');
        let end = rest.iter().position(|byte| !plain(byte)).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let Some(value) = after.strip_prefix(b"=") else {
            // A word, or a text in quotes.
            let quoted = after.first() == Some(&b'"');
            let end = if quoted { string_end(after, 0).unwrap_or(0) + 1 } else { 1 };
            rest = after.get(end..).unwrap_or_default();
            continue;
        };
        // A quote that is never closed quotes nothing.
        let quoted = (value.first() == Some(&b'"')).then(|| string_end(value, 0)).flatten();
        let end = quoted.map_or_else(
            || value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len()),
            |close| close + 1,
        );
        if key == name {
            return Some(match quoted {
                Some(close) => unescaped(&value[1..close]),
                None => Cow::Borrowed(&value[..end]),
            });
        }
        rest = &value[end..];
    }
    None
}
