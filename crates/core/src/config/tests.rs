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
    let refused = unsupported(&config);
    assert_eq!(refused.len(), 4, "{refused:#?}");
    assert!(refused.iter().all(|message| message.contains("Service 'api'")));
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

// faults: C4
#[test]
fn quantities_out_of_range_name_their_key_and_the_range() {
    for bad in ["-1", "1e400", "nan", "'99999999999999h'", "[1]"] {
        one_finding(&format!("[settings]\nstop_timeout = {bad}"), "[settings] stop_timeout: ");
    }
    one_finding("[settings]\nhealth_check_interval = 0", "must be more than 0");
}

// faults: C5
#[test]
fn domains_are_normalised_or_refused() {
    assert_eq!(good("settings.domain = 'Example.COM.'").settings.domain, "example.com");
    for bad in ["example.com:80", "http://x", "a..b", "bücher.de", "-a.com", ""] {
        one_finding(&format!("settings.domain = '{bad}'"), "is not a host name");
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
    let found = findings(&text(&format!("/{}/{{id}}", "d".repeat(107))));
    assert!(found.len() == 2 && found[0].contains("107 are possible"), "{found:#?}");
}

#[test]
fn a_placeholder_can_never_add_an_argument() {
    let config = good(r#"service.a.command = "run '{id}' \"b c\"""#);
    let words: Vec<_> = config.services["a"].command.iter().map(ToString::to_string).collect();
    assert_eq!(words, ["run", "{id}", "b c"]);
    one_finding("service.a.command = \"run 'x\"", "quote that is not closed");
    one_finding("service.a.command = ' '", "command is empty");
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
