//! The documentation has every key, and no other.

use std::collections::BTreeSet;

use toml::de::DeTable;

use super::{LogSink, Service, Settings, Source, diagnostic::Findings, table::Table};

/// The keys in the first column of the table below a heading of `docs/config.md`.
fn documented(heading: &str) -> BTreeSet<String> {
    let page = include_str!("../../../../docs/config.md");
    let section = page.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let keys = rows.flat_map(|row| row.split(" | ").next().unwrap().split(", "));
    let word = |key: &str| key.trim_matches('`').rsplit('.').next().unwrap().trim_end_matches(']').to_owned();
    keys.map(word).collect()
}

fn known(text: &str, read: impl FnOnce(&mut Table<'_, '_, '_>, &Source)) -> BTreeSet<String> {
    let source = Source {
        path: None,
        dir: "/etc/tenement".into(),
        default_data_dir: "/var/lib/tenement".into(),
        default_max_starting: 4,
    };
    let (table, mut findings) = (DeTable::parse(text).unwrap(), Findings::new(text));
    let mut table = Table::new(String::new(), table.get_ref(), &mut findings);
    read(&mut table, &source);
    table.known().map(str::to_owned).collect()
}

#[test]
fn every_key_is_documented() {
    let settings = known("", |table, source| drop(Settings::read(table, source)));
    assert_eq!(settings, documented("[settings]"));
    let service = known("", |table, source| {
        drop(Service::read("api".parse().unwrap(), 0..0, table, source));
    });
    assert_eq!(service, documented("[service.NAME]"));
    let sink = ["otlp", "syslog", "file"].map(|kind| {
        known(&format!("type = '{kind}'"), |table, source| drop(LogSink::read(0..0, table, source)))
    });
    assert_eq!(sink.into_iter().flatten().collect::<BTreeSet<_>>(), documented("[[service.NAME.log_sink]]"));
}
