use super::*;
use crate::config::{Config, effective, parse};

fn parsed(lines: &str) -> crate::config::Parsed {
    let source = Source {
        path: None,
        dir: "/etc/tenement".into(),
        default_data_dir: "/var/lib/tenement".into(),
        default_max_starting: 4,
    };
    let text = format!("[service.api]\ncommand = 'x'\n{lines}");
    parse(text.as_bytes(), &source)
}

fn good(lines: &str) -> Config {
    let parsed = parsed(lines);
    assert!(parsed.diagnostics.is_empty(), "{:#?}", parsed.diagnostics);
    parsed.config.unwrap()
}

#[track_caller]
fn one_finding(lines: &str, line: usize, expected: &str) {
    let found = parsed(lines).diagnostics;
    assert!(
        found.len() == 1 && found[0].message.contains(expected) && found[0].line == line,
        "{lines}: {found:#?}"
    );
}

#[test]
fn each_type_has_its_keys_and_defaults() {
    let config = good(
        "[[service.api.log_sink]]\ntype = 'otlp'\nendpoint = 'http://[::1]:4318/'\nca_file = 'ca.pem'\n\
         headers = { Authorization = 'Bearer x' }\n\
         [[service.api.log_sink]]\ntype = 'syslog'\n\
         [[service.api.log_sink]]\ntype = 'syslog'\nname = 'far'\naddress = 'tcp://logs.example:601'\nfacility = 'local3'\n\
         [[settings.log_sink]]\ntype = 'file'\npath = 'logs/{name}.log'\nrotate_size = '1M'\nfrom = 'oldest'\n",
    );
    let kinds: Vec<_> =
        config.services["api"].log_sinks.iter().map(|sink| (&*sink.name, &sink.kind)).collect();
    let headers = BTreeMap::from([("Authorization".to_owned(), "Bearer x".to_owned())]);
    assert_eq!(
        kinds,
        [
            (
                "otlp",
                &SinkKind::Otlp {
                    endpoint: "http://[::1]:4318/v1/logs".into(),
                    headers,
                    ca_file: Some("/etc/tenement/ca.pem".into()),
                    timeout: Duration::from_secs(10),
                }
            ),
            ("syslog", &SinkKind::Syslog { address: SyslogAddress::Unix("/dev/log".into()), facility: 1 }),
            (
                "far",
                &SinkKind::Syslog { address: SyslogAddress::Tcp("logs.example:601".into()), facility: 19 }
            ),
        ]
    );
    let all = &config.settings.log_sinks[0];
    assert_eq!((all.from, &*all.kind.target()), (SinkFrom::Oldest, "/etc/tenement/logs/{name}.log"));
}

#[test]
fn one_alone_needs_no_list() {
    assert_eq!(good("[service.api.log_sink]\ntype = 'syslog'\n").services["api"].log_sinks.len(), 1);
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let sink = |lines: &str| format!("[[service.api.log_sink]]\n{lines}\n");
    for (lines, line, expected) in [
        (
            sink("address = 'udp://a:1'\ntype = 'otpl'"),
            5,
            "type: must be one of \"otlp\", \"syslog\", \"file\"",
        ),
        (sink("type = 'otlp'"), 3, "'endpoint' is missing"),
        (sink("type = 'file'"), 3, "'path' is missing"),
        (sink("type = 'otlp'\nendpoint = 'localhost:4318'"), 5, "is not an address"),
        (sink("type = 'otlp'\nendpoint = 'http://me:pw@host'"), 5, "'headers'"),
        (sink("type = 'otlp'\nendpoint = \"http://h/\\r\\nX: y\""), 5, "is not an address"),
        (sink("type = 'otlp'\nendpoint = 'http://h'\nheaders = { A = \"x\\ny\" }"), 6, "printable"),
        (sink("type = 'otlp'\nendpoint = 'http://h'\nheaders = { Host = 'y' }"), 6, "is set by tenement"),
        (sink("type = 'syslog'\naddress = 'udp://host'"), 5, "is not an address"),
        (sink("type = 'syslog'\naddress = 'unix://dev/log'"), 5, "is not an address"),
        (sink("type = 'syslog'\nfacility = 'kern'"), 5, "facility: must be one of"),
        (sink("type = 'file'\npath = '{port}.log'"), 5, "{port} can't stand here"),
        (sink("type = 'file'\npath = 'logs/'"), 5, "names no file"),
        (sink("type = 'file'\npath = 'a'\nrotate_size = 5"), 6, "4096"),
        (sink("type = 'syslog'\npath = 'a'"), 5, "unknown key 'path'"),
        (sink("type = 'syslog'\nname = 'a b'"), 5, "must be 1 to 63"),
        (sink("type = 'syslog'") + &sink("type = 'syslog'"), 5, "two are called 'syslog'"),
        ("log_sink = 5".to_owned(), 3, "must be a table"),
    ] {
        one_finding(&lines, line, expected);
    }
    let found = parsed(&sink("type = 'otlp'\nendpont = 'http://h'")).diagnostics;
    assert!(found.len() == 2 && found[1].message.contains("did you mean 'endpoint'?"), "{found:#?}");
    let found = parsed(&sink("")).diagnostics;
    assert_eq!((found.len(), found[0].line), (1, 3), "{found:#?}");
}

#[test]
fn secrets_are_not_shown() {
    let config = good(
        "[[service.api.log_sink]]\ntype = 'otlp'\nendpoint = 'https://h/in?key=hidden'\nheaders = { X-Api = 'hidden' }\n\
         [[settings.log_sink]]\ntype = 'otlp'\nendpoint = 'https://h'\nheaders = { Authorization = 'hidden' }\n",
    );
    let shown = serde_json::to_string(&effective(&config)).unwrap();
    assert!(!shown.contains("hidden"), "{shown}");
    assert!(shown.contains(r#""endpoint":"https://h/in?***","headers":{"X-Api":"***"}"#), "{shown}");
}

#[test]
fn a_password_in_a_wrong_address_is_not_shown() {
    let sink = |lines: &str| format!("[[service.api.log_sink]]\ntype = 'otlp'\n{lines}\n");
    for (lines, shown) in [
        ("endpoint = 'http://me:hidden@host'", "endpoint = 'http://***@host'"),
        (
            "endpoint = 'https://hidden@host:70000' # who@where",
            "endpoint = 'https://***@host:70000' # who@where",
        ),
        ("endpoint = \"http://me:hid'den@host\"", "endpoint = \"http://***@host\""),
        ("endpoint = 'me:hidden@host'", "endpoint = '***@host'"),
        ("endpoint = \"http://me:hi\\u0064den'@host\"", "endpoint = ***"),
        ("endpoint = '@'", "endpoint = '@'"),
        ("headers = { A = 5 }\nendpont = 'http://me:hidden@host'", "endpont = 'http://***@host'"),
    ] {
        let found = parsed(&sink(lines)).diagnostics;
        let all: String = found.iter().map(|found| format!("{found}\n{}\n", found.pointer())).collect();
        assert!(!all.contains("hid") && !all.contains("den") && all.contains(shown), "{all}");
    }
}
