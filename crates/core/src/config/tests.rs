//! Whole files, grouped by what is promised about them.

use proptest::prelude::*;

use super::{template::Template, *};

fn source() -> Source {
    Source {
        path: None,
        dir: "/etc/tenement".into(),
        default_data_dir: "/var/lib/tenement".into(),
        default_max_starting: 4,
    }
}

fn good(text: &str) -> Config {
    let parsed = parse(text.as_bytes(), &source());
    parsed.config.unwrap_or_else(|| panic!("{:#?}", parsed.diagnostics))
}

fn findings(text: &str) -> Vec<String> {
    parse(text.as_bytes(), &source()).diagnostics.iter().map(ToString::to_string).collect()
}

/// A file with these settings, and nothing to object to besides.
fn settings(lines: &str) -> String {
    format!("[settings]\n{lines}\n[service.any]\ncommand = 'x'\n")
}

fn with_socket(path: &str) -> String {
    format!("[service.a]\ncommand = 'x'\nsocket = '{path}'\n")
}

#[track_caller]
fn one_finding(text: &str, expected: &str) {
    let found = findings(text);
    assert!(found.len() == 1 && found[0].contains(expected), "{found:#?}");
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let config = good("[service.api]\ncommand = './api --port {port}'\n[instances]\napi = ['alice', 'Bob']");
    assert_eq!(config.settings.listen, ["0.0.0.0:8000".parse().unwrap()]);
    assert_eq!((config.settings.max_restarts, config.settings.max_starting), (3, 4));
    let service = &config.services["api"];
    assert_eq!(service.socket.to_string(), "{data_dir}/run/{name}-{id}.sock");
    assert_eq!((service.idle_timeout, service.workdir.to_str()), (None, Some("/etc/tenement")));
    let words: Vec<_> = service.command.iter().map(ToString::to_string).collect();
    assert_eq!(words, ["./api", "--port", "{port}"]);
    let names: Vec<_> = config.instances.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["api:alice", "api:bob"]);
}

#[test]
fn a_file_of_an_earlier_tenement_loads_as_it_is() {
    let config = good(
        r#"
        [settings]
        data_dir = "/srv/tenement"
        health_check_interval = 5
        max_restarts = 5
        restart_window = 600
        backoff_base_ms = 500
        backoff_max_ms = 30000
        [service.api]
        command = "python3"
        args = ["app.py", "--name", "{name}"]
        socket = "/tmp/{name}-{id}.sock"
        health = "/health"
        startup_timeout = 20
        idle_timeout = 0
        restart = "on-failure"
        isolation = "namespace"
        memory_limit_mb = 256
        cpu_shares = 200
        storage_persist = false
        storage_quota_mb = 100
        [service.api.env]
        DEBUG = true
        LEVEL = 3
        PATH_OF = "{socket}"
        [instances]
        api = ["prod"]
        "#,
    );
    let service = &config.services["api"];
    assert_eq!(config.settings.backoff_base.as_millis(), 500);
    assert_eq!(
        (service.env["DEBUG"].to_string(), service.env["LEVEL"].to_string()),
        ("true".into(), "3".into())
    );
}

#[test]
fn what_is_not_enforced_is_an_error_with_its_place_and_the_rest_can_be_used() {
    let text = "[service.api]\ncommand = 'x'\nisolation = 'namespace'\nmemory_limit_mb = 256\ncpu_shares = 200\n\
        storage_quota_mb = 100\n[service.web]\ncommand = 'x'\nisolation = 'process'\ncpu_shares = 100\n";
    let parsed = parse(text.as_bytes(), &source());
    assert!(parsed.config.is_some() && parsed.diagnostics.iter().all(Diagnostic::is_error));
    let found: Vec<_> = parsed.diagnostics.iter().map(ToString::to_string).collect();
    let keys = [(3, "isolation"), (4, "memory_limit_mb"), (5, "cpu_shares"), (6, "storage_quota_mb")];
    assert_eq!(found.len(), keys.len(), "{found:#?}");
    for ((line, key), found) in keys.into_iter().zip(found) {
        assert!(found.starts_with(&format!("{line}:")), "{found}");
        assert!(found.contains(&format!(" error: [service.api] {key} is not enforced")), "{found}");
    }
}

// faults: C1
#[test]
fn a_file_without_anything_is_refused_and_one_without_services_is_warned_of() {
    for nothing in ["", " \n\t\n", "# a comment\n", "\u{feff}"] {
        assert!(parse(nothing.as_bytes(), &source()).config.is_none());
        one_finding(nothing, "1:1: error: nothing stands in this file");
        one_finding(nothing, "ten init");
    }
    for idle in ["[settings]", "[service]", "settings.domain = 'a'"] {
        assert!(parse(idle.as_bytes(), &source()).config.is_some());
        one_finding(idle, "1:1: warning: there is no [service.NAME] here");
    }
    one_finding("service = 1", "'service' must be a table");
}

// faults: C2 C3 C4
#[test]
fn all_errors_are_reported_at_once_each_with_its_place() {
    let found = findings(
        "[settings]\nmax_restarts = -1\nstop_timeout = '10XB'\n[service.api]\nhelth = '/'\n[service.web]\ncommand = 'a {nam}'\n",
    );
    let expected = [
        "2:16: error: [settings] max_restarts: must be from 0 to 1000000",
        "3:16: error: [settings] stop_timeout: '10XB' is not a duration",
        "4:10: error: Service 'api' missing required field: command",
        "5:1: warning: [service.api]: unknown key 'helth' (did you mean 'health'?)",
        "7:11: error: Service 'web' command: unknown placeholder {nam}",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
}

// faults: C2
#[test]
fn a_syntax_error_is_shown_in_its_line() {
    let parsed = parse(b"[settings]\ndomain = \n", &source());
    assert!(parsed.config.is_none());
    let first = &parsed.diagnostics[0];
    assert_eq!((first.line, first.snippet.as_str()), (2, "domain = "));
    assert!(first.pointer().starts_with("2 | domain = \n  | "), "{}", first.pointer());
}

// faults: C2
#[test]
fn a_syntax_error_hides_no_other_error_and_brings_in_none() {
    let places = |text: &str| {
        let place = |finding: &Diagnostic| (finding.line, finding.column);
        parse(text.as_bytes(), &source()).diagnostics.iter().map(place).collect::<Vec<_>>()
    };
    let twice = "[service.api]\ncommand = 'x'\ncommand = 'y'\n[settings]\nmax_restarts = -1\nstop_timeout = 10s\n\
        domain = 'a b'\n";
    assert_eq!(places(twice), [(3, 1), (5, 16), (6, 16), (7, 10)]);
    let unclosed = "[service.api\ncommand = 'x'\n[settings]\nmax_restarts = -1\n[instances]\napi = ['a']\n";
    assert_eq!(places(unclosed), [(1, 13), (4, 16)], "what is missing may be there");
    let unquoted = "[service.api]\ncommand = ./api\n[service.web]\ncommand = 'run {nam}'\nhelth = '/'\n";
    assert_eq!(places(unquoted), [(2, 11), (4, 11)]);
    let list = "[service.api]\ncommand = 'x'\n[instances]\napi = ['a', 'B C'\n";
    assert_eq!(places(list), [(4, 18)]);
}

// faults: C4
#[test]
fn quantities_out_of_range_name_their_key_and_the_range() {
    for bad in ["-1", "1e400", "nan", "'99999999999999h'", "[1]", "0xffffffffffffffffffffffffffffffffff"] {
        one_finding(&settings(&format!("stop_timeout = {bad}")), "[settings] stop_timeout: ");
        one_finding(&settings(&format!("log_max_size = {bad}")), "[settings] log_max_size: ");
    }
    one_finding(&settings("health_check_interval = 0"), "must be more than 0");
    one_finding(&settings("log_max_size = -1"), "'-1' is out of range: from 0 to 1024T");
    one_finding("[service.a]\ncommand = 'x'\nmax_waiting = 0", "max_waiting: must be from 1 to 1000000");
}

// faults: C4
#[test]
fn rates_of_logs_are_numbers_or_say_that_they_are_per_second() {
    let config = good(
        "[settings]\nlog_rate_limit = '1000/s'\nlog_disk_full = 'drop_oldest'\n[service.a]\ncommand = 'x'\n\
        log_rate_limit = 0\n[service.b]\ncommand = 'x'\nlog_rate_limit = 5",
    );
    assert_eq!(config.settings.log_rate_limit, Some(1000));
    assert_eq!(config.settings.log_disk_full, DiskFull::DropOldest);
    let of = |service: &str| config.services[service].log_rate_limit;
    assert_eq!((of("a"), of("b")), (Some(0), Some(5)));
    assert_eq!(
        good("[settings]\nlog_rate_limit = 0\n[service.a]\ncommand = 'x'").settings.log_rate_limit,
        None
    );
    for bad in
        ["-1", "1.5", "'1000'", "'/s'", "'10/m'", "'-1/s'", "4294967296", "'99999999999999999999/s'", "true"]
    {
        one_finding(&settings(&format!("log_rate_limit = {bad}")), "[settings] log_rate_limit: ");
    }
    one_finding(&settings("log_disk_full = 'stop'"), "must be one of \"drop-oldest\", \"wait\"");
}

#[test]
fn the_keys_of_logs_can_be_taken_alone() {
    let text = |retention: &str, listen: &str| {
        format!(
            "[settings]\nlog_retention = '{retention}'\nlisten = '{listen}'\n[service.a]\ncommand = 'x{listen}'\n\
            log_max_size = '{}M'\n[service.b{listen}]\ncommand = 'x'",
            listen.len()
        )
        .replace(".b127.0.0.1:", ".b")
    };
    let (mut ours, theirs) = (good(&text("1d", "127.0.0.1:80")), good(&text("2d", "127.0.0.1:8080")));
    ours.take_log_keys(&theirs);
    assert_eq!(ours.settings.log_retention.as_secs(), 2 * 86_400);
    assert_eq!(ours.settings.listen[0].port(), 80);
    assert_eq!(ours.services["a"].log_max_size, Some(14 << 20));
    assert_eq!(ours.services["a"].command_line(), "x127.0.0.1:80");
    assert_eq!(ours.services.keys().map(ToString::to_string).collect::<Vec<_>>(), ["a", "b80"]);
}

#[test]
fn whole_numbers_are_read_by_their_value_however_they_are_written() {
    let config = good(
        "[settings]\nlog_max_size = 0x400000\nstop_timeout = 0x10\nbackoff_base_ms = 0o17\nmax_restarts = 0b101\n\
        [service.a]\ncommand = 'x'\n[service.a.env]\nB = 0xff\nC = 1_000\nD = 123456789012345678901234567890",
    );
    let settings = &config.settings;
    assert_eq!((settings.log_max_size, settings.max_restarts), (4 << 20, 5));
    assert_eq!((settings.stop_timeout.as_secs(), settings.backoff_base.as_millis()), (16, 15));
    let env = |key: &str| config.services["a"].env[key].to_string();
    assert_eq!((env("B"), env("C")), ("255".to_owned(), "1000".to_owned()));
    assert_eq!(env("D"), "123456789012345678901234567890");
}

// faults: C4
#[test]
fn settings_that_contradict_themselves_or_name_nothing_are_refused() {
    one_finding(&settings("listen = []"), "2:10: error: listen: names no address");
    one_finding(&settings("data_dir = ''"), "2:12: error: data_dir: names no folder");
    let backoff = settings("backoff_max_ms = 60\nbackoff_base_ms = 61");
    one_finding(&backoff, "3:19: error: backoff_base_ms (61) can't be more than backoff_max_ms (60)");
    one_finding(&settings("backoff_max_ms = 500"), "2:18: error: backoff_base_ms (1000)");
    good(&settings("backoff_max_ms = 60\nbackoff_base_ms = 60"));
}

// faults: C5
#[test]
fn domains_are_normalised_or_refused() {
    assert_eq!(good(&settings("domain = 'Example.COM.'")).settings.domain, "example.com");
    for bad in ["example.com:80", "http://x", "a..b", "bücher.de", "-a.com", ""] {
        one_finding(&settings(&format!("domain = '{bad}'")), "is not a host name");
    }
    let twice = findings("[service.a]\ncommand = 'x'\n[service.a]\ncommand = 'y'");
    assert!(twice[0].contains("3:10: error: duplicate key"), "{twice:#?}");
}

// faults: C6
#[test]
fn bad_names_show_what_is_allowed() {
    for bad in ["../x", "a/b", ".", "", "a:b", "-x", "ａ"] {
        one_finding(&format!("[service.'{bad}']\ncommand = 'x'"), crate::name::SERVICE_PATTERN);
    }
    one_finding("[service.api]\ncommand='x'\n[instances]\napi = ['a b']", crate::name::ID_PATTERN);
    one_finding("[service.api]\ncommand='x'\n[instances]\napy = ['a']", "did you mean 'api'?");
}

// faults: C6 A15
#[test]
fn names_of_the_daemons_own_folders_are_refused_and_that_of_the_page_is_not() {
    let found =
        findings("[service.api]\ncommand = 'x'\n[service.logs]\ncommand = 'x'\n[instances]\nlogs = ['a']");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("3:10: error: a service can't be called 'logs'"), "{found:#?}");
    one_finding("service.run.command = 'x'", "{data_dir}/run, where tenement keeps its own");
    assert!(Template::parse(service::DEFAULT_SOCKET).is_ok_and(|socket| {
        socket.to_string().starts_with(&format!("{{data_dir}}/{}/", crate::layout::RUN))
    }));
}

// faults: C8
#[test]
fn environments_that_can_not_be_are_refused() {
    let env = |line: &str| format!("[service.api]\ncommand = 'x'\n[service.api.env]\n{line}");
    one_finding(&env("A = '{unknown}'"), "unknown placeholder {unknown}");
    one_finding(&env("'A=B' = 'x'"), "can't hold '='");
    one_finding(&env("LD_PRELOAD = 'x'"), "dynamic loader");
    one_finding(&env("A = []"), "not a list");
    one_finding(&env("health = '/x'"), "is a key of the service");
    one_finding(&env("SOCKET_PATH = '/x'"), "set by tenement");
    one_finding(&env(&format!("A = '{}'", "x".repeat(3 << 20))), "E2BIG");
    assert_eq!(good(&env("A = '{id}'")).services["api"].env["A"].to_string(), "{id}");
}

// faults: A14
#[test]
fn a_check_names_a_path_and_nothing_else() {
    for elsewhere in
        ["http://169.254.169.254/", "file:///etc/passwd", "unix:/run/x.sock", "health", "/a b", ""]
    {
        let text = format!("[service.api]\ncommand = 'x'\nhealth = '{elsewhere}'");
        one_finding(&text, "is not a path");
    }
}

// faults: A6 C2
#[test]
fn of_very_many_findings_some_are_shown_and_all_are_counted() {
    let unknown: String = (0..20_000).map(|n| format!("k{n} = 1\n")).collect();
    let found = findings(&settings(&unknown));
    assert_eq!(found.len(), 1001);
    assert!(
        found[0].contains("unknown key 'k0'") && found[1000].contains("warning: and 19000 more"),
        "{}",
        found[1000]
    );
    let wrong = parse(format!("[settings]\n{}", "k = 1\n".repeat(20_000)).as_bytes(), &source());
    assert!(wrong.config.is_none() && wrong.diagnostics.len() <= 1001);
    let long = findings(&format!("[settings]\nlisten = [{}]\n", "\"x\", ".repeat(20_000)));
    assert!(!long.is_empty());
}

// faults: C9
#[test]
fn byte_order_mark_and_crlf_are_accepted_and_invalid_utf8_is_placed() {
    assert!(parse(b"\xef\xbb\xbf[settings]\r\ndomain = 'a'\r\n", &source()).config.is_some());
    let parsed = parse(b"# ok\n\xff", &source());
    assert_eq!(parsed.diagnostics[0].to_string(), "2:1: error: invalid UTF-8 at byte 5");
}

#[test]
fn two_instances_never_share_a_socket_and_its_path_fits() {
    let text =
        |socket: &str| format!("[service.a]\ncommand='x'\nsocket='{socket}'\n[instances]\na=['x','y']");
    one_finding(&text("/tmp/a.sock"), "have the same socket");
    one_finding(&text("/tmp/a.sock"), "put {id} into 'socket' of service 'a'");
    let found = findings(&text(&format!("/{}/{{id}}", "d".repeat(107))));
    assert!(found.len() == 2 && found[0].contains("107 are possible"), "{found:#?}");
    let names = "[service.a]\ncommand='x'\n[service.a-b]\ncommand='x'\n[instances]\na=['b-c']\na-b=['c']";
    let told = "'a:b-c' and 'a-b:c' have the same socket: give service 'a' or 'a-b' another 'socket'";
    one_finding(names, told);
}

#[test]
fn a_socket_is_a_whole_path_and_made_of_what_is_known_before_it() {
    let socket = |text: &str| good(&with_socket(text)).services["a"].socket.to_string();
    assert_eq!(socket("rel-{id}.sock"), "/etc/tenement/rel-{id}.sock");
    assert_eq!(socket("{id}"), "/etc/tenement/{id}");
    for whole in ["/tmp/{name}-{id}.sock", "{data_dir}/{id}.sock"] {
        assert_eq!(socket(whole), whole);
    }
    for key in ["{port}", "{socket}"] {
        let told = format!(
            "3:10: error: socket: {key} can't stand here: there are {{name}}, {{id}} and {{data_dir}}"
        );
        one_finding(&with_socket(&format!("/tmp/{{id}}-{key}")), &told);
    }
    one_finding(&with_socket(""), "socket: can't be empty");
    one_finding(&with_socket("/tmp/{pid}"), "unknown placeholder {pid}");
}

#[test]
fn a_placeholder_can_never_add_an_argument() {
    let config = good(r#"service.a.command = "run '{id}' \"b c\"""#);
    let words: Vec<_> = config.services["a"].command.iter().map(ToString::to_string).collect();
    assert_eq!(words, ["run", "{id}", "b c"]);
    one_finding("service.a.command = \"run 'x\"", "quote that is not closed");
    one_finding("service.a.command = ' '", "command is empty");
}

#[test]
fn origins_are_those_of_web_pages() {
    let of = |text: &str| good(&settings(&format!("allowed_origins = {text}"))).settings.allowed_origins;
    assert_eq!(
        of("['HTTPS://Console.example.com:443', 'http://[::1]:3000', 'http://10.0.0.1']"),
        ["https://console.example.com", "http://[::1]:3000", "http://10.0.0.1"]
    );
    assert_eq!(of("'https://a.b:8443'"), ["https://a.b:8443"]);
    for wrong in ["console", "*", "https://a.b/", "file://a", "null", "https://a.b:x", "https://"] {
        one_finding(&settings(&format!("allowed_origins = '{wrong}'")), "is not an origin");
    }
}

// Secrets in the environment don't leave the daemon through the API.
#[test]
fn the_effective_configuration_has_every_default_and_hides_secrets() {
    let config = good(
        "[service.api]\ncommand = './api \"a b\"'\nhealth = '/h'\n[service.api.env]\nAPI_KEY = 'k'\nMODE = 'm'\n[instances]\napi = ['a']",
    );
    let json = serde_json::to_value(effective(&config)).unwrap();
    let api = &json["services"]["api"];
    assert_eq!(api["command"], "./api 'a b'");
    assert_eq!((&api["env"]["API_KEY"], &api["env"]["MODE"]), (&"***".into(), &"m".into()));
    assert_eq!((&api["startup_timeout"], &api["idle_timeout"]), (&10.into(), &serde_json::Value::Null));
    assert_eq!(
        (&json["settings"]["health_check_interval"], &json["instances"]["api"][0]),
        (&10.into(), &"a".into())
    );
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, &source());
    }

    #[test]
    fn no_value_makes_it_panic(key in "[a-z_]{1,12}", value in "[-0-9a-z'\".\\[\\]{} ]{0,12}") {
        let _ = parse(format!("[settings]\n{key} = {value}\n[service.a]\n{key} = {value}").as_bytes(), &source());
    }
}
