//! Names are a contract: each is documented.

use super::names;

#[test]
fn every_metric_is_documented_and_no_other() {
    let page = include_str!("../../../../docs/metrics.md");
    let documented: Vec<_> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let all: Vec<_> = names::ALL.iter().map(|family| family.name).collect();
    for name in &all {
        assert!(documented.contains(name), "{name} is not in docs/metrics.md");
    }
    for name in documented.iter().filter(|name| name.starts_with("tenement_") || name.starts_with("process_"))
    {
        assert!(all.contains(name), "{name} is in docs/metrics.md only");
    }
}

#[test]
fn in_open_metrics_too_no_two_families_have_one_name() {
    let mut names: Vec<_> =
        names::ALL.iter().map(|family| family.name.strip_suffix("_total").unwrap_or(family.name)).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}
