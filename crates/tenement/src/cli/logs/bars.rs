//! Lines over time, as bars.

use serde_json::Value;
use tenement_core::name::InstanceName;

use super::{Logs, Shown, pages};
use crate::cli::{
    Failure,
    client::Client,
    output::{print, print_json},
    table,
};

/// At most so many bars.
const BARS: &str = "40";
/// How wide it is where nobody says, and at least.
const WIDE: usize = 80;
const NARROW: usize = 24;

/// Counts lines, and shows how many there were when.
pub(super) fn show(
    logs: &Logs,
    client: &Client,
    names: &[InstanceName],
    shown: Shown,
) -> Result<(), Failure> {
    let question = logs.question("/api/logs/histogram", names).with("buckets", BARS);
    let counted = client.get(&question.maybe("interval", logs.interval.as_deref()).into_path())?;
    pages::warn_of(pages::parts_damaged(&counted), shown.json);
    if counted["total"] == 0 {
        logs.check(client, names)?;
    }
    if shown.json {
        return print_json(&counted);
    }
    let width = Some(table::width()).filter(|&width| width < usize::MAX).unwrap_or(WIDE);
    print(&chart(&counted, width, shown.colours))
}

/// A bar for each bucket: errors, then warnings, then all else.
fn chart(counted: &Value, width: usize, colours: bool) -> String {
    let buckets = counted["buckets"].as_array().map(Vec::as_slice).unwrap_or_default();
    let total = |bucket: &Value| bucket["total"].as_u64().unwrap_or(0);
    let most = buckets.iter().map(total).max().unwrap_or(0).max(1);
    let digits = most.to_string().len();
    let whole_seconds = counted["interval_ms"].as_u64().is_some_and(|interval| interval % 1000 == 0);
    let width = width.max(NARROW);
    // Without the day where there is no room for it.
    let short = width < 50;
    let mut lines = Vec::new();
    for bucket in buckets {
        let start = bucket["start"].as_str().unwrap_or_default();
        let time = if whole_seconds { start.split('.').next().unwrap_or(start) } else { start };
        let time = time.trim_end_matches('Z');
        let time = if short { time.split('T').next_back().unwrap_or(time) } else { time };
        let room = width.saturating_sub(time.len() + digits + 2).max(1) as u64;
        let bar = bar(bucket, total(bucket), most, room, colours);
        lines.push(format!("{time} {:>digits$} {bar}", total(bucket)).trim_end().to_owned());
    }
    let part = |word: &str| {
        let count = buckets.iter().filter_map(|bucket| bucket["levels"][word].as_u64()).sum::<u64>();
        format!("{count} {word}")
    };
    let sum = format!("{} lines: {}, {}", counted["total"], part("error"), part("warn"));
    lines.push(if short {
        format!("{} lines", counted["total"])
    } else {
        format!("{sum}  (█ error ▓ warn ░ other)")
    });
    lines.join("\n")
}

fn bar(bucket: &Value, total: u64, most: u64, room: u64, colours: bool) -> String {
    let level = |word: &str| bucket["levels"][word].as_u64().unwrap_or(0);
    // What is there is to be seen, however little it is.
    let length = |count: u64| (count.saturating_mul(room) / most).max(u64::from(count > 0)).min(room);
    let whole = length(total);
    let errors = length(level("error"));
    let warnings = length(level("warn")).min(whole - errors.min(whole));
    let rest = whole.saturating_sub(errors + warnings);
    let parts = [("31", '█', errors), ("33", '▓', warnings), ("0", '░', rest)];
    let drawn = parts.into_iter().filter(|(.., length)| *length > 0).map(|(colour, block, length)| {
        let blocks = block.to_string().repeat(usize::try_from(length).unwrap_or(0));
        if colours { format!("\x1b[{colour}m{blocks}\x1b[0m") } else { blocks }
    });
    drawn.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bucket(second: u32, error: u64, warn: u64, info: u64) -> Value {
        json!({
            "start": format!("2026-01-12T10:30:{second:02}.000Z"),
            "total": error + warn + info,
            "levels": { "debug": 0, "info": info, "warn": warn, "error": error },
        })
    }

    #[test]
    fn bars_fit_and_show_what_is_there() {
        let buckets = [bucket(0, 1, 0, 1), bucket(10, 0, 0, 0), bucket(20, 1, 250, 749)];
        let counted = json!({ "buckets": buckets, "interval_ms": 10_000, "total": 1002 });
        let chart_of = |width| chart(&counted, width, false);
        assert_eq!(
            chart_of(65).lines().collect::<Vec<_>>(),
            [
                "2026-01-12T10:30:00    2 █",
                "2026-01-12T10:30:10    0",
                &format!("2026-01-12T10:30:20 1000 █{}{}", "▓".repeat(10), "░".repeat(29)),
                "1002 lines: 2 error, 250 warn  (█ error ▓ warn ░ other)",
            ]
        );
        for width in [1, 24, 30, 49, 50, 200] {
            let wide = chart_of(width).lines().map(|line| line.chars().count()).max().unwrap();
            assert!(wide <= width.max(56), "{wide} in {width}");
        }
        assert!(chart_of(30).starts_with("10:30:00    2 █\n"));
        assert_eq!(chart(&json!({ "buckets": [], "interval_ms": 1, "total": 0 }), 30, true), "0 lines");
    }
}
