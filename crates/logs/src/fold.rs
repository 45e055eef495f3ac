//! Upper and lower case as one, for looking for words.

/// Makes ASCII letters lower case, and every other character whose lower case is one character of as many bytes.
/// So offsets stay what they are, and what is looked for and what is looked at are folded alike, wherever a text
/// is cut between characters. What is no UTF-8 is left alone.
pub(crate) fn fold(text: &mut [u8]) {
    text.make_ascii_lowercase();
    let mut at = 0;
    while let Some(next) = text[at..].iter().position(|byte| !byte.is_ascii()) {
        at += next;
        at += fold_first(&mut text[at..]);
    }
}

/// Folds the character that `text` begins with. How many bytes to go on after.
fn fold_first(text: &mut [u8]) -> usize {
    let Some(c) = first_char(text) else { return 1 };
    let mut lower = c.to_lowercase();
    if let (Some(lower), None) = (lower.next(), lower.next())
        && lower.len_utf8() == c.len_utf8()
    {
        // At the end of a word it has another shape.
        let lower = if lower == 'ς' { 'σ' } else { lower };
        lower.encode_utf8(text);
    }
    c.len_utf8()
}

fn first_char(text: &[u8]) -> Option<char> {
    let start = &text[..text.len().min(4)];
    let valid = match std::str::from_utf8(start) {
        Ok(valid) => valid,
        Err(error) => std::str::from_utf8(&start[..error.valid_up_to()]).ok()?,
    };
    valid.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        fold(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn case_is_folded_where_the_length_stays() {
        assert_eq!(folded("GET /Users"), "get /users");
        assert_eq!(folded("ÉCOLE Ünïcode ΑΣ δος Жук 漢字"), "école ünïcode ασ δοσ жук 漢字");
        // Their lower case is longer, or shorter: they stay.
        assert_eq!(folded("İ \u{212a} ẞ"), "İ \u{212a} ẞ");
    }

    // faults: G2
    #[test]
    fn what_is_no_text_stays_as_it_is() {
        let mut bytes = b"A\xff\xc3\x80B\xf0\x9f".to_vec();
        fold(&mut bytes);
        assert_eq!(bytes, b"a\xff\xc3\xa0b\xf0\x9f");
    }
}
