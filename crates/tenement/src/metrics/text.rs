//! The Prometheus text exposition format, version 0.0.4.

use std::fmt::Write;

use super::names::Family;

#[derive(Default)]
pub(super) struct Text {
    out: String,
    name: &'static str,
}

impl Text {
    /// Begins a family; samples follow.
    pub(super) fn family(&mut self, family: &Family) {
        let Family { name, kind, help } = family;
        self.name = name;
        let _ = write!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: u64) {
        self.line("", labels, None, &value.to_string());
    }

    /// Buckets are given in milliseconds and as counts of their own, the sum in microseconds.
    pub(super) fn histogram(
        &mut self,
        labels: &[(&str, &str)],
        bounds_ms: &[u64],
        counts: &[u64],
        sum_us: u64,
    ) {
        let mut below = 0;
        for (index, count) in counts.iter().enumerate() {
            below += count;
            let bound = bounds_ms.get(index).map_or("+Inf".to_owned(), |&ms| (ms as f64 / 1e3).to_string());
            self.line("_bucket", labels, Some(&bound), &below.to_string());
        }
        self.line("_sum", labels, None, &(sum_us as f64 / 1e6).to_string());
        self.line("_count", labels, None, &below.to_string());
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], bound: Option<&str>, value: &str) {
        self.out.push_str(self.name);
        self.out.push_str(suffix);
        let all: Vec<String> = labels
            .iter()
            .copied()
            .chain(bound.map(|bound| ("le", bound)))
            .map(|(key, value)| format!("{key}=\"{}\"", escape(value)))
            .collect();
        if !all.is_empty() {
            let _ = write!(self.out, "{{{}}}", all.join(","));
        }
        let _ = writeln!(self.out, " {value}");
    }

    pub(super) fn finish(self) -> String {
        self.out
    }
}

// faults: A17
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::names;

    #[test]
    fn buckets_add_up_and_labels_are_escaped() {
        let mut text = Text::default();
        text.family(&names::REQUEST_DURATION);
        text.histogram(&[("service", "a\"b\nc")], &[1, 5], &[2, 3, 4], 1_500_000);
        let lines: Vec<_> = text.finish().lines().skip(2).map(str::to_owned).collect();
        let label = r#"service="a\"b\nc""#;
        let name = "tenement_request_duration_seconds";
        assert_eq!(
            lines,
            [
                format!("{name}_bucket{{{label},le=\"0.001\"}} 2"),
                format!("{name}_bucket{{{label},le=\"0.005\"}} 5"),
                format!("{name}_bucket{{{label},le=\"+Inf\"}} 9"),
                format!("{name}_sum{{{label}}} 1.5"),
                format!("{name}_count{{{label}}} 9"),
            ]
        );
    }
}
