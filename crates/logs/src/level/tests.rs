use super::{Level, LevelSet, level_of};
use crate::line::Stream;

#[test]
fn a_minimum_is_a_set() {
    let set = LevelSet::at_least(Level::Warn);
    assert_eq!(Level::ALL.map(|level| set.contains(level)), [false, false, true, true]);
}

#[test]
fn silent_lines_have_the_level_of_their_stream() {
    assert_eq!(level_of(Stream::Stdout, b"hello"), Level::Info);
    assert_eq!(level_of(Stream::Stderr, b"hello"), Level::Error);
}
