use super::inert;

// faults: G3
#[test]
fn control_sequences_are_shown_not_obeyed() {
    for (text, shown) in [
        ("plain\ttext é", "plain\ttext é"),
        ("\x1b[2Jgone", "^[[2Jgone"),
        ("\x1b]0;title\x07", "^[]0;title^G"),
        ("\x1b]52;c;ZXZpbA==\x1b\\", "^[]52;c;ZXZpbA==^[\\"),
        ("a\u{9b}31mb", "a\\u{9b}31mb"),
        ("x\ry", "x^My"),
        ("\0\x7f", "^@^?"),
        ("\u{202e}live", "\\u{202e}live"),
    ] {
        assert_eq!(inert(text), shown, "{text:?}");
    }
}
