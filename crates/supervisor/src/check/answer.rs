//! As much of an answer as a check looks at.

use super::{CheckError, Verdict};

/// Longer heads are not looked through for their end.
const MAX: usize = 1024;

/// What has come of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    bytes: [u8; MAX],
    length: usize,
    ended: bool,
}

impl Default for Answer {
    fn default() -> Self {
        Self { bytes: [0; MAX], length: 0, ended: false }
    }
}

impl Answer {
    /// Where the next bytes go.
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.length..]
    }

    /// Takes note of bytes that were read; of the end, when there were none.
    pub(super) fn add(&mut self, read: usize) {
        self.length += read;
        self.ended |= read == 0;
    }

    pub(super) fn is_full(&self) -> bool {
        self.length == MAX
    }

    /// Whether the status line is there, or never will be.
    pub(super) fn is_judged(&self) -> bool {
        self.ended || self.is_full() || self.last_head().contains(&b'\n')
    }

    /// Whether nothing more comes: by the end of the connection, or of the body as its head announces it.
    pub(super) fn is_over(&self) -> bool {
        self.ended || body_is_whole(self.last_head())
    }

    pub(super) fn verdict(&self) -> Verdict {
        match status_of(self.last_head()).ok_or(CheckError::NotHttp)? {
            200..=299 => Ok(()),
            status => Err(CheckError::Status(status)),
        }
    }

    /// The answer without the interim ones before it (RFC 9110 section 15.2).
    fn last_head(&self) -> &[u8] {
        let mut rest = &self.bytes[..self.length];
        while status_of(rest).is_some_and(|status| (100..200).contains(&status)) {
            let end = rest.windows(4).position(|window| window == b"\r\n\r\n");
            rest = end.map_or(&[][..], |end| &rest[end + 4..]);
        }
        rest
    }
}

/// The code of a status line: RFC 9112 section 4.
fn status_of(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "))?;
    let code = std::str::from_utf8(rest.get(..3)?).ok()?;
    let ends = matches!(rest.get(3), Some(b' ' | b'\r' | b'\n'));
    if ends && code.bytes().all(|byte| byte.is_ascii_digit()) { code.parse().ok() } else { None }
}

fn body_is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let (head, body) = (&answer[..end], &answer[end + 4..]);
    if matches!(status_of(head), Some(204 | 304)) {
        return true;
    }
    let field = |name: &str| {
        head.split(|&byte| byte == b'\n').find_map(|line| {
            let (field, value) = line.split_at_checked(name.len())?;
            field.eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii())
        })
    };
    if let Some(length) = field("content-length:") {
        let length = std::str::from_utf8(length).ok().and_then(|length| length.parse().ok());
        return length.is_some_and(|length: usize| body.len() >= length);
    }
    field("transfer-encoding:").is_some() && body.ends_with(b"0\r\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Answer {
        let mut answer = Answer::default();
        answer.room()[..text.len()].copy_from_slice(text.as_bytes());
        answer.add(text.len());
        answer
    }

    #[test]
    fn only_a_status_line_counts() {
        assert_eq!(status_of(b"HTTP/1.1 204 No Content\r\n"), Some(204));
        assert_eq!(status_of(b"HTTP/1.0 500\r\n"), Some(500));
        for bad in ["", "HTTP/1.1 20", "HTTP/2 200 ", "HTTP/1.1 2000 ", "HTTP/1.1 2x0 ", "200 OK"] {
            assert_eq!(status_of(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn an_interim_answer_is_not_the_answer() {
        let interim = "HTTP/1.1 100 Continue\r\nA: b\r\n\r\n";
        assert!(!answer(interim).is_judged());
        assert!(answer(&format!("{interim}HTTP/1.1 200 OK\r\n")).verdict().is_ok());
        assert!(answer(&format!("{interim}HTTP/1.1 500 No\r\n")).verdict().is_err());
    }

    #[test]
    fn the_end_of_a_body_is_found_where_it_is_announced() {
        for whole in [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
        ] {
            assert!(answer(whole).is_over(), "{whole}");
            assert!(!answer(&whole[..whole.len() - 1]).is_over(), "{whole}");
        }
        assert!(!answer("HTTP/1.1 200 OK\r\n\r\nok").is_over());
    }
}
