//! Where a head ends.

use super::Malformed;

/// What is known of a head from the bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lines {
    /// It goes on.
    Open,
    /// It ends before this offset.
    End(usize),
    /// A line ends with a bare CR or LF, or the first one is empty. RFC 9112 section 2.2 allows a recipient to be
    /// lenient here; that two recipients are it differently is how requests are smuggled.
    Bad,
}

/// Whether `value`, a part of `head`, stands after its colon with at most one space and ends its line. Other
/// white space is allowed by RFC 9112 section 5.1, but not by everybody who reads a framing field.
pub(super) fn is_unpadded(head: &[u8], value: &[u8]) -> bool {
    let start = value.as_ptr().addr().wrapping_sub(head.as_ptr().addr());
    let Some((before, rest)) = head.split_at_checked(start) else { return false };
    (before.ends_with(b":") || before.ends_with(b": ")) && rest[value.len()..].starts_with(b"\r\n")
}

/// Fields of a head at most; what is above this is too many whatever the limit says.
pub(super) const MAX_FIELDS: usize = 128;

/// The head at the beginning of `bytes`, of at most `max`; `None` while its end is not there. `seen` is where the
/// last look at the beginning of these bytes got to, 0 for the first one: who sends a head byte by byte must not have
/// all of it looked at again for each.
pub(super) fn head<'b>(bytes: &'b [u8], max: usize, seen: &mut usize) -> Result<Option<&'b [u8]>, Malformed> {
    match scan(bytes, seen) {
        Lines::Bad => Err(Malformed::bad("a line does not end with CRLF")),
        Lines::End(end) if end <= max => Ok(Some(&bytes[..end])),
        Lines::Open if bytes.len() < max => Ok(None),
        Lines::Open | Lines::End(_) => Err(Malformed { status: 431, why: "the head is too large" }),
    }
}

/// Looks for the empty line. A bare CR in a whole head is left to the parser of the fields.
fn scan(bytes: &[u8], seen: &mut usize) -> Lines {
    let from = *seen;
    let mut line = from;
    for at in memchr::memchr_iter(b'\n', &bytes[from..]).map(|at| from + at) {
        if at == line || bytes[at - 1] != b'\r' {
            return Lines::Bad;
        }
        if at - 1 == line {
            return if line == 0 { Lines::Bad } else { Lines::End(at + 1) };
        }
        line = at + 1;
    }
    *seen = line;
    let bare = |at: usize| bytes.get(from + at + 1).is_some_and(|&next| next != b'\n');
    if memchr::memchr_iter(b'\r', &bytes[from..]).any(bare) { Lines::Bad } else { Lines::Open }
}

#[cfg(test)]
mod tests {
    use super::*;

    // faults: P5 P9
    #[test]
    fn byte_by_byte_it_is_the_same() {
        for text in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\nmore",
            "GET /\r\n\r\n",
            "A: b\nC: d\r\n\r\n",
            "A: b\r\rC",
            "\r\n",
        ] {
            let whole = head(text.as_bytes(), 1024, &mut 0);
            let mut seen = 0;
            let piecemeal = (1..=text.len()).find_map(|length| {
                let found = head(&text.as_bytes()[..length], 1024, &mut seen);
                (!matches!(found, Ok(None))).then_some(found)
            });
            assert_eq!(format!("{:?}", piecemeal.unwrap_or(Ok(None))), format!("{whole:?}"), "{text:?}");
        }
    }
}
