//! What a word is.

/// A longer word is not put into an index.
pub(super) const MAX_TOKEN: usize = 64;

/// Whether a byte of a folded text belongs to a word. All of a character beyond ASCII does.
fn in_word(byte: u8) -> bool {
    const WORD: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            let b = byte as u8;
            table[byte] = b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80;
            byte += 1;
        }
        table
    };
    WORD[byte as usize]
}

/// The words of a text.
pub(super) fn tokens(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| !in_word(byte)).filter(|token| !token.is_empty())
}

/// Whether a word goes to those with digits: mostly numbers and ids, of which there are many.
pub(super) fn has_digit(token: &[u8]) -> bool {
    token.iter().any(u8::is_ascii_digit)
}

/// A part of a text that is looked for, which has to lie within one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(super) text: Vec<u8>,
    /// The word begins with it.
    pub(super) from_start: bool,
    /// The word ends with it.
    pub(super) to_end: bool,
}

impl Piece {
    /// A whole word.
    pub(super) fn whole(text: &[u8]) -> Self {
        Self { text: text.to_vec(), from_start: true, to_end: true }
    }

    /// What follows the `\\` of an ASCII character that JSON has as a number (RFC 8259, section 7).
    pub(super) fn escape() -> Self {
        Self { text: b"u00".to_vec(), from_start: true, to_end: false }
    }

    /// How many bytes have to match.
    pub(super) fn len(&self) -> usize {
        self.text.len() + usize::from(self.from_start) + usize::from(self.to_end)
    }
}

/// The pieces of a folded text that a line with the text in it has, and whether a line that has them has the text.
pub(super) fn pieces(text: &[u8]) -> (Vec<Piece>, bool) {
    let mut pieces = Vec::new();
    let mut at = 0;
    for token in text.split(|&byte| !in_word(byte)) {
        let end = at + token.len();
        if !token.is_empty() {
            let text_len = text.len();
            pieces.push(Piece { text: token.to_vec(), from_start: at > 0, to_end: end < text_len });
        }
        at = end + 1;
    }
    let is_word = pieces.len() == 1 && pieces[0].text.len() == text.len();
    (pieces, is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> (Vec<String>, bool) {
        let (pieces, exact) = pieces(text.as_bytes());
        let show = |piece: &Piece| {
            let open = |closed: bool| if closed { "|" } else { "*" };
            let text = String::from_utf8_lossy(&piece.text);
            format!("{}{text}{}", open(piece.from_start), open(piece.to_end))
        };
        (pieces.iter().map(show).collect(), exact)
    }

    #[test]
    fn a_text_is_cut_where_no_word_goes_on() {
        let all =
            |pieces: &[&str], exact| (pieces.iter().map(ToString::to_string).collect::<Vec<_>>(), exact);
        assert_eq!(shown("request"), all(&["*request*"], true));
        assert_eq!(shown("error connecting to pg"), all(&["*error|", "|connecting|", "|to|", "|pg*"], false));
        assert_eq!(shown("/v1/orders"), all(&["|v1|", "|orders*"], false));
        assert_eq!(shown("user="), all(&["*user|"], false));
        assert_eq!(shown("--"), all(&[], false));
        assert_eq!(shown("größe"), all(&["*größe*"], true));
    }

    #[test]
    fn words_of_a_line() {
        let words: Vec<_> = tokens(b"{\"level\":\"info\", user_id=42} caf\xc3\xa9").collect();
        assert_eq!(words, [&b"level"[..], b"info", b"user_id", b"42", "café".as_bytes()]);
        assert!(has_digit(b"v1") && !has_digit(b"get"));
    }
}
