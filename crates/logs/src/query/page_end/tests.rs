use super::*;

fn name(text: &str) -> InstanceName {
    text.parse().unwrap()
}

fn passed(lines: &[(&str, u64, u64)]) -> PageEnd {
    let mut mark = PageEnd::default();
    lines.iter().for_each(|&(instance, seq, wall)| mark.pass(&name(instance), seq, WallMillis(wall)));
    mark
}

#[test]
fn a_moment_and_one_place_say_where_all_are() {
    let mark = passed(&[("api:c", 9, 50), ("api:a", 7, 40), ("api:b", 3, 40), ("api:b", 2, 40)]);
    assert_eq!(mark.resume(&name("api:b")), Resume::Before(2));
    assert_eq!(mark.resume(&name("api:a")), Resume::Until(WallMillis(39)));
    assert_eq!(mark.resume(&name("api:c")), Resume::Until(WallMillis(40)));
    assert_eq!(PageEnd::default().resume(&name("api:a")), Resume::Until(WallMillis(u64::MAX)));
}

#[test]
fn whoever_went_on_after_a_clock_was_set_back_has_a_place() {
    let mark = passed(&[("api:a", 9, 40), ("api:a", 8, 90), ("api:c", 5, 70)]);
    assert_eq!(mark.resume(&name("api:a")), Resume::Before(8));
    assert_eq!(mark.resume(&name("api:c")), Resume::Before(5));
    assert_eq!(mark.resume(&name("api:b")), Resume::Until(WallMillis(40)));
}

#[test]
fn as_a_text_it_is_the_same_and_bounded() {
    let mut mark = passed(&[("api:a.b-c_d", 9, 1_768_213_800_000), ("b-2:x", u64::MAX, u64::MAX)]);
    for mark in [&mark, &passed(&[("api:a", 0, 0)]), &PageEnd::default()] {
        assert_eq!(mark.to_string().parse::<PageEnd>().unwrap(), *mark);
    }
    for n in 0..1000 {
        mark.pass(&name(&format!("{}:{n:063}", "s".repeat(63))), u64::MAX, WallMillis(u64::MAX));
    }
    let text = mark.to_string();
    assert!(text.len() < 8 << 10, "{}", text.len());
    assert_eq!(text.parse::<PageEnd>().unwrap(), mark);
    assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)), "{text}");
}

// faults: A9
#[test]
fn anything_else_is_refused() {
    for text in [
        "",
        "a",
        "a~",
        "a~1",
        "a~x~1",
        "b~1~1",
        "a~1~1~",
        "a~1~1~api~a",
        "a~1~1~api~..~1",
        "a~1~1~A B~a~1",
        "a~+1~1",
        "a~11111111111111111~1",
        "a~1~1~api~a~~api~b~",
        "' OR 1=1",
        "\u{ff11}",
    ] {
        assert!(text.parse::<PageEnd>().is_err(), "{text}");
    }
    let many = format!("a~1~1{}", "~api~a~1".repeat(100));
    assert!(many.parse::<PageEnd>().is_err());
}
