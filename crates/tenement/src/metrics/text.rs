//! The two text formats, which differ in little: what a counter's family is called, and the end.

use std::fmt::{self, Write};

use tenement_core::histogram::Distribution;

use super::{format::Format, names::Family};

/// Names and values.
pub(super) type Labels<'l> = [(&'l str, &'l str)];

#[derive(Default)]
pub(super) struct Text {
    out: String,
    name: &'static str,
    format: Format,
}

/// The value of a sample.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    Count(u64),
    Float(f64),
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Float(value) => write!(f, "{value:?}"),
        }
    }
}

impl Text {
    pub(super) fn new(format: Format) -> Self {
        Self { format, ..Self::default() }
    }

    /// Begins a family; samples follow.
    pub(super) fn family(&mut self, family: &Family) {
        let Family { name, kind, help } = family;
        self.name = name;
        let title = match self.format {
            Format::OpenMetrics if *kind == "counter" => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        let _ = write!(self.out, "# HELP {title} {help}\n# TYPE {title} {kind}\n");
    }

    /// A family of one series.
    pub(super) fn single(&mut self, family: &Family, value: impl Into<Value>) {
        self.family(family);
        self.sample(&[], value);
    }

    pub(super) fn sample(&mut self, labels: &Labels<'_>, value: impl Into<Value>) {
        self.line("", labels, None, value.into());
    }

    /// Bounds are in microseconds, as is what was counted.
    pub(super) fn histogram<const N: usize>(
        &mut self,
        labels: &Labels<'_>,
        bounds_us: &[u64],
        counted: &Distribution<N>,
    ) {
        let mut below = 0;
        for (index, count) in counted.counts.iter().enumerate() {
            below += count;
            // As OpenMetrics wants it, in both: else it would be another series.
            let bound =
                bounds_us.get(index).map_or("+Inf".to_owned(), |&us| format!("{:?}", us as f64 / 1e6));
            self.line("_bucket", labels, Some(&bound), below.into());
        }
        self.line("_sum", labels, None, (counted.sum_us as f64 / 1e6).into());
        self.line("_count", labels, None, below.into());
    }

    fn line(&mut self, suffix: &str, labels: &Labels<'_>, bound: Option<&str>, value: Value) {
        self.out.push_str(self.name);
        self.out.push_str(suffix);
        let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        for (index, (key, value)) in all.enumerate() {
            self.out.push(if index == 0 { '{' } else { ',' });
            let _ = write!(self.out, "{key}=\"");
            escape(value, &mut self.out);
            self.out.push('"');
        }
        if !labels.is_empty() || bound.is_some() {
            self.out.push('}');
        }
        let _ = writeln!(self.out, " {value}");
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

// faults: A17
fn escape(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '\\' | '"' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::names;

    #[test]
    fn buckets_add_up_and_labels_are_escaped() {
        let mut text = Text::default();
        text.family(&names::REQUEST_DURATION);
        let counted = Distribution { counts: [2, 3, 4], sum_us: 1_500_000 };
        text.histogram(&[("service", "a\"b\nc\\")], &[1000, 5_000_000], &counted);
        let lines: Vec<_> = text.finish().lines().skip(2).map(str::to_owned).collect();
        let label = r#"service="a\"b\nc\\""#;
        let name = "tenement_request_duration_seconds";
        assert_eq!(
            lines,
            [
                format!("{name}_bucket{{{label},le=\"0.001\"}} 2"),
                format!("{name}_bucket{{{label},le=\"5.0\"}} 5"),
                format!("{name}_bucket{{{label},le=\"+Inf\"}} 9"),
                format!("{name}_sum{{{label}}} 1.5"),
                format!("{name}_count{{{label}}} 9"),
            ]
        );
    }

    #[test]
    fn a_counter_s_family_has_no_suffix_in_open_metrics() {
        let mut text = Text::new(Format::OpenMetrics);
        text.single(&names::PANICS, 3);
        text.single(&names::PROCESS_START, 1.5e9);
        let expected = "# HELP tenement_panics Panics that were caught\n# TYPE tenement_panics counter\n\
            tenement_panics_total 3\n# HELP process_start_time_seconds When the daemon started, in seconds since the \
            epoch\n# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 1500000000.0\n# EOF\n";
        assert_eq!(text.finish(), expected);
    }
}
