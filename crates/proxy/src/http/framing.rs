//! Where a body ends (RFC 9112 section 6).

use super::{Malformed, Version, field::elements};

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
    /// What comes until the end of the connection. Only of responses.
    UntilClose,
}

/// The framing fields of one head.
#[derive(Debug, Default)]
pub(super) struct Framing {
    length: Option<u64>,
    chunked: bool,
}

impl Framing {
    /// Takes a `Content-Length`. A list, a sign, white space within or a repetition is refused, also where
    /// all values agree.
    pub(super) fn content_length(&mut self, value: &[u8]) -> Result<(), Malformed> {
        let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let parsed = std::str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse().ok());
        match (parsed, self.length) {
            (Some(length), None) => self.length = Some(length),
            (Some(_), Some(_)) => return Err(Malformed::bad("more than one Content-Length")),
            (None, _) => return Err(Malformed::bad("Content-Length is not a number")),
        }
        Ok(())
    }

    /// Takes a `Transfer-Encoding`. Nothing but one plain `chunked` is understood.
    pub(super) fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Malformed> {
        if self.chunked {
            return Err(Malformed::bad("more than one Transfer-Encoding"));
        }
        let mut codings = elements(value);
        let known = codings.next().is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"));
        if !known || codings.next().is_some() || value.contains(&b',') {
            return Err(Malformed { status: 501, why: "Transfer-Encoding other than chunked" });
        }
        self.chunked = true;
        Ok(())
    }

    /// What the fields say together; `None` when there are none.
    pub(super) fn body(&self, version: Version) -> Result<Option<Body>, Malformed> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err(Malformed::bad("both Content-Length and Transfer-Encoding")),
            (None, true) if version == Version::Http10 => {
                Err(Malformed::bad("Transfer-Encoding in HTTP/1.0"))
            }
            (None, true) => Ok(Some(Body::Chunked)),
            (Some(0), false) => Ok(Some(Body::None)),
            (Some(length), false) => Ok(Some(Body::Length(length))),
            (None, false) => Ok(None),
        }
    }

    /// The length that was stated, whether or not a body follows.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }
}
