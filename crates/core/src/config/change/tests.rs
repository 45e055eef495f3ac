use std::{collections::BTreeMap, time::Duration};

use super::{
    super::{RestartPolicy, Source, parse, template::Template, testing},
    *,
};

fn config(text: &str) -> Config {
    let source = Source {
        path: None,
        dir: "/etc/tenement".into(),
        default_data_dir: "/var/lib/tenement".into(),
        default_max_starting: 4,
    };
    let parsed = parse(text.as_bytes(), &source);
    parsed.config.unwrap_or_else(|| panic!("{:?}", parsed.diagnostics))
}

fn plan(old: &str, new: &str) -> Plan {
    Plan::of(&config(old), &config(new))
}

fn said(changed: &[Changed]) -> Vec<(&str, Takes)> {
    changed.iter().map(|changed| (changed.key.as_str(), changed.takes)).collect()
}

const API: &str = "[service.api]\ncommand = './api'\n";

#[test]
fn the_same_is_no_change_however_it_is_written() {
    let other = "[settings]\nstop_timeout = '10s'\n[service.api] # the app\ncommand = \"./api\"\n";
    assert!(plan(API, other).is_empty());
    assert!(!plan(API, "[service.api]\ncommand = './api'\nidle_timeout = 5").is_empty());
}

// faults: C10
#[test]
fn services_and_instances_come_and_go() {
    let old = format!("{API}[service.old]\ncommand = 'x'\n[instances]\napi = ['a', 'b']\nold = ['c']\n");
    let new = format!("{API}[service.web]\ncommand = 'y'\n[instances]\napi = ['b', 'd']\nweb = ['e']\n");
    let plan = plan(&old, &new);
    let names = |list: &[ServiceName]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((names(&plan.added), names(&plan.removed)), (vec!["web".into()], vec!["old".into()]));
    let names = |list: &[InstanceName]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&plan.declared), ["api:d", "web:e"]);
    assert_eq!(names(&plan.undeclared), ["api:a"], "those of a service that goes go with it");
    assert!(plan.changed.is_empty() && plan.settings.is_empty());
}

// faults: C10
#[test]
fn what_a_process_is_started_with_needs_a_restart_and_nothing_else_does() {
    let new = "[service.api]\ncommand = './api -v'\nidle_timeout = 5\nrestart = 'never'\n[service.api.env]\nA = '1'\n";
    let plan = plan(API, new);
    let found = said(&plan.changed[0].settings);
    let (restart, at_once) = (Takes::Restart, Takes::AtOnce);
    assert_eq!(
        found,
        [("command", restart), ("env.A", restart), ("idle_timeout", at_once), ("restart", at_once)]
    );
    let (old, new) = (config(API), config(new));
    let name = "api".parse::<ServiceName>().unwrap();
    assert_eq!(needs_restart(&old.services[&name], &new.services[&name]), ["command", "env.A"]);
}

#[test]
fn what_is_bound_at_the_start_is_named_and_not_taken() {
    let new = format!(
        "[settings]\ndata_dir = '/srv'\nlisten = '127.0.0.1:1'\ntrusted_proxies = ['10.0.0.1']\ndomain = 'b.test'\n{API}"
    );
    let plan = plan(API, &new);
    let bound = said(&plan.settings).into_iter().filter(|(_, takes)| *takes == Takes::NextStart);
    assert_eq!(bound.map(|(key, _)| key).collect::<Vec<_>>(), ["data_dir", "listen", "trusted_proxies"]);
    let (old, now) = (config(API).settings, &plan.config.settings);
    assert_eq!((&now.data_dir, &now.listen, &now.trusted_proxies), (&old.data_dir, &old.listen, &Vec::new()));
    assert_eq!(now.domain, "b.test");
    let again = Plan::of(&plan.config, &config(&new));
    assert_eq!(said(&again.settings).len(), 3, "as long as they are not in force they are named");
}

#[test]
fn every_key_that_the_api_shows_is_looked_at() {
    let api = config(API);
    let shown = serde_json::to_value(super::super::effective(&api)).unwrap();
    let keys = |of: &serde_json::Value| of.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let mut other = config(
        "[settings]\ndata_dir = '/srv'\nlisten = '127.0.0.1:1'\ndomain = 'b.test'\nhealth_check_interval = 1\n\
         max_restarts = 1\nrestart_window = 1\nbackoff_base_ms = 1\nbackoff_max_ms = 1\nstop_timeout = 1\nmax_starting = 1\n\
         log_retention = 1\nlog_max_size = 9999999\nlog_rate_limit = 1\nlog_disk_full = 'wait'\nmetrics_detail = 'public'\n\
         trusted_proxies = ['10.0.0.1']\nallowed_origins = ['https://a.test']\n\
         [[settings.log_sink]]\ntype = 'syslog'\n\
         [service.api]\ncommand = 'b'\nworkdir = '/'\nsocket = '/b'\nactivation = 'listen-fds'\nautostart = false\n\
         health = '/'\nhealth_timeout = 1\nstartup_timeout = 1\nidle_timeout = 1\nrequest_timeout = 1\nrestart = 'never'\n\
         storage_persist = false\non_demand = 'any'\nmax_instances = 1\nmax_waiting = 1\nmax_connections = 1\n\
         log_retention = 1\nlog_max_size = 9999999\nlog_rate_limit = 1\nenv = { A = '1' }\n\
         [[service.api.log_sink]]\ntype = 'syslog'\n",
    );
    let service = Arc::make_mut(other.services.values_mut().next().unwrap());
    service.isolation = super::super::Isolation::Namespace;
    (service.memory_limit_mb, service.cpu_shares, service.storage_quota_mb) = (Some(1), 1, Some(1));
    let plan = Plan::of(&api, &other);
    let found = |changed: &[Changed]| -> BTreeSet<String> {
        changed.iter().map(|one| one.key.split('.').next().unwrap().to_owned()).collect()
    };
    assert_eq!(found(&plan.settings), keys(&shown["settings"]));
    assert_eq!(found(&plan.changed[0].settings), keys(&shown["services"]["api"]));
}

#[test]
fn the_text_of_a_launch_says_what_a_process_is_started_with() {
    let service = testing::service("api");
    let same = Service {
        idle_timeout: Some(Duration::from_secs(1)),
        restart: RestartPolicy::Never,
        health: Some("/".into()),
        ..service.clone()
    };
    assert_eq!(launch_text(&service), launch_text(&same));
    let words = |words: &[&str]| Service {
        command: words.iter().copied().map(Template::literal).collect(),
        ..service.clone()
    };
    let env = |key: &str, value: &str| Service {
        env: BTreeMap::from([(key.to_owned(), Template::literal(value))]),
        ..service.clone()
    };
    let different = [
        service.clone(),
        words(&["/bin/true", "b"]),
        words(&["/bin/true b"]),
        words(&["/bin/true\ncommand = b"]),
        env("A", "1"),
        env("A", "2"),
        env("B", "1"),
        Service { workdir: "/tmp".into(), ..service.clone() },
        Service { activation: super::super::Activation::ListenFds, ..service.clone() },
        Service { socket: Template::literal("/tmp/other.sock"), ..service.clone() },
    ];
    let texts: BTreeSet<String> = different.iter().map(launch_text).collect();
    assert_eq!(texts.len(), different.len());
}
