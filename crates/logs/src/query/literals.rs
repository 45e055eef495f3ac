//! Texts that every match of a regular expression has.

use regex_syntax::hir::{Hir, HirKind};

use crate::fold::fold;

/// Shorter ones are in most lines.
const MIN: usize = 2;

/// Texts that a line has to have, folded, for an expression to match in it; perhaps none.
pub(super) fn of(pattern: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    // A line is matched as it is shown, but what is not UTF-8 is not in the index as it is shown.
    if let Ok(hir) = regex_syntax::Parser::new().parse(pattern) {
        collect(&hir, &mut found);
    }
    found.retain(|text| text.len() >= MIN && text.is_ascii());
    found
}

fn collect(hir: &Hir, found: &mut Vec<Vec<u8>>) {
    match hir.kind() {
        HirKind::Literal(literal) => {
            let mut text = literal.0.to_vec();
            fold(&mut text);
            found.push(text);
        }
        HirKind::Concat(parts) => parts.iter().for_each(|part| collect(part, found)),
        HirKind::Capture(capture) => collect(&capture.sub, found),
        HirKind::Repetition(repeated) if repeated.min > 0 => collect(&repeated.sub, found),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_every_match_has() {
        let of = |pattern: &str| -> Vec<String> {
            of(pattern).into_iter().map(|text| String::from_utf8(text).unwrap()).collect()
        };
        assert_eq!(of("Status=5\\d\\d (took|after) \\d+ms"), ["status=5", "ms"]);
        assert_eq!(of("(connection) +refused"), ["connection", "refused"]);
        assert_eq!(of("(abc)+x?"), ["abc"]);
        for none in ["a|bcd", "(abc)*", "(?i)refused", "[ab]c", "", "\\d+", "(", "ü+"] {
            assert_eq!(of(none), Vec::<String>::new(), "{none}");
        }
    }
}
