use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn holds(condition: &str, line: &str) -> bool {
    Field::parse(condition).unwrap().matches(line.as_bytes())
}

fn of(line: &str, name: &str) -> Option<String> {
    find(line.as_bytes(), name).map(|value| String::from_utf8_lossy(&value).into_owned())
}

#[test]
fn members_of_an_object_nested_escaped_and_after_anything() {
    let line = r#" {"a":"x\"y","b" : [1,{"status":1}, "]"], "http":{"status":502,"to":{"ms":1.5}},"c.d":true,
        "e":null,"sp ace":"é","status":"no","u":"\u00e9","x\u002ey":7,"deep":{"a":1}}"#;
    assert_eq!(of(line, "a").unwrap(), "x\"y");
    assert_eq!(of(line, "b").unwrap(), r#"[1,{"status":1}, "]"]"#);
    assert_eq!(of(line, "http.status").unwrap(), "502");
    assert_eq!(of(line, "http.to.ms").unwrap(), "1.5");
    assert_eq!(of(line, "http.to").unwrap(), r#"{"ms":1.5}"#);
    assert_eq!(of(line, "c.d").unwrap(), "true");
    assert_eq!(of(line, "e").unwrap(), "null");
    assert_eq!(of(line, "sp ace").unwrap(), "é");
    assert_eq!(of(line, "status").unwrap(), "no");
    assert_eq!(of(line, "u").unwrap(), "é");
    assert_eq!(of(line, "x.y").unwrap(), "7");
    assert_eq!(of(line, "deep.a").unwrap(), "1");
    for missing in ["ms", "http.ms", "b.status", "http.status.x", "A", "é", "a.x", ""] {
        assert_eq!(of(line, missing), None, "{missing}");
    }
}

#[test]
fn pairs_of_logfmt_wherever_they_stand() {
    let line =
        r#"2026-01-12 INFO done status=502 msg="a status=1 \"b\" \n" http.status=7 empty= flag open="x y"#;
    assert_eq!(of(line, "status").unwrap(), "502");
    assert_eq!(of(line, "msg").unwrap(), "a status=1 \"b\" \n");
    assert_eq!(of(line, "http.status").unwrap(), "7");
    assert_eq!(of(line, "empty").unwrap(), "");
    assert_eq!(of(line, "open").unwrap(), "\"x");
    assert_eq!((of(line, "flag"), of(line, "y"), of(line, "b")), (None, None, None));
    assert_eq!(of("said \"status=1\" status=2", "status").unwrap(), "2");
    assert_eq!(of("\u{feff}status=3", "status").unwrap(), "3");
    assert_eq!((of("", "a"), of("   ", "a"), of("=", "a"), of("\"", "a")), (None, None, None, None));
}

#[test]
fn numbers_are_compared_as_numbers_and_all_else_as_text() {
    let line = r#"{"status":502,"ms":1.5e2,"id":9007199254740993,"user":"alice","code":"007","v":"1.10"}"#;
    for met in [
        "status>=500",
        "status = 502",
        "status==502.0",
        "status!=500",
        "status<503",
        "ms>149.9",
        "ms=150",
        "ms<=150",
        "id=9007199254740993",
        "id>9007199254740992",
        "user=alice",
        "user!=bob",
        "user~^al",
        "user=~ice$",
        "user!~bob",
        "code=7",
        "code>6",
        "v=1.1",
        "user~",
    ] {
        assert!(holds(met, line), "{met}");
    }
    for missed in [
        "status>502",
        "status=50",
        "id=9007199254740992",
        "user=Alice",
        "user>1",
        "user<1",
        "user~^ice",
        "missing!=1",
        "missing!~x",
        "missing=",
        "status~^2",
    ] {
        assert!(!holds(missed, line), "{missed}");
    }
    assert!(holds("status>=500", "GET / status=503 took=3ms") && !holds("took>1", "took=3ms"));
    assert!(!holds("status!=200", "status is fine") && !holds("a!=1", "") && !holds("a!=1", "[1]"));
}

// faults: A9
#[test]
fn what_is_no_condition_is_refused_with_a_hint() {
    let refused = |text: &str| Field::parse(text).unwrap_err().to_string();
    for text in ["", "status", "=5", " >= 5", "!x", "status ! 5"] {
        assert!(refused(text).contains("status>=500"), "{text}: {}", refused(text));
    }
    for text in ["a>", "a>=x", "a<1ms", "a>NaN", "a>inf", "a>0x10", "a>--1"] {
        assert!(refused(text).contains("only numbers"), "{text}: {}", refused(text));
    }
    assert!(refused("a~(").contains("unclosed group"), "{}", refused("a~("));
    assert!(refused("a~(\\w{900}){900}").contains("regular expression"));
    assert!(refused(&format!("a={}", "x".repeat(1000))).contains("1000"));
    assert!(Field::parse("'; DROP TABLE logs; --=1").is_ok(), "a name like any other");
}

#[test]
fn what_is_cut_or_broken_ends_the_search_and_nothing_else() {
    let line = r#"{"a":1,"b":{"c":"x\\"},"d":[1,2,{"e":"}"}],"f":"\ud800","g":2}"#;
    for end in 0..line.len() {
        for name in ["a", "b.c", "d", "f", "g", "nothing"] {
            let _ = of(&line[..end], name);
        }
    }
    assert_eq!(of(&line[..20], "a").unwrap(), "1");
    assert_eq!((of(line, "f").unwrap(), of(line, "g").unwrap()), ("\\ud800".into(), "2".into()));
    assert_eq!(of(r#"{"a" 1,"b":2}"#, "b"), None);
    assert_eq!(of(r#"{"a":,"b":2}"#, "b"), None);
    let deep = format!("{{\"a\":{}1", "[".repeat(60_000));
    assert_eq!((of(&deep, "b"), of(&"{\"a\":".repeat(10_000), "a.a.a.b")), (None, None));
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-c\"\\\\é]{1,2}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_member_is_what_a_parser_finds(value in json_value(), path in prop::collection::vec("[a-c\"\\\\é]{1,2}", 1..3)) {
        let line = json!({ "a": value, "b": 1 }).to_string();
        let parsed: Value = serde_json::from_str(&line).unwrap();
        let wanted = path.iter().try_fold(&parsed, |at, key| at.as_object()?.get(key));
        let wanted = wanted.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        prop_assert_eq!(of(&line, &path.join(".")), wanted);
    }

    #[test]
    fn nothing_makes_it_fail(line in prop::collection::vec(any::<u8>(), 0..64), name in "[a\"={]{0,3}") {
        let _ = find(&line, &name);
        let _ = Field::parse(&String::from_utf8_lossy(&line));
    }
}
