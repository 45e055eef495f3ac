//! Tables for people, and how values look in them.

/// Rows of cells in columns as wide as they need to be, cut off at `width`.
pub(super) fn render(rows: &[Vec<String>], width: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        line.trim_end().chars().take(width).collect::<String>()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Comma-separated values (RFC 4180, with line feeds).
pub(super) fn csv(rows: &[Vec<String>]) -> String {
    let quote = |cell: &String| {
        if cell.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.clone()
        }
    };
    let line = |row: &Vec<String>| row.iter().map(quote).collect::<Vec<_>>().join(",");
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The width to fit into: `COLUMNS`, else the terminal's; unbounded where nobody looks.
pub(super) fn width() -> usize {
    let set = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let window =
        || rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col));
    set.or_else(window).filter(|&columns| columns > 0).unwrap_or(usize::MAX)
}

/// `3s`, `5m 12s`, `2h 5m`, `3d 4h`.
pub(super) fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        vec![row(["NAME", "STATUS", "NOTE"]), row(["a", "running", "x,\"y\""]), row(["longer", "ok", ""])]
    }

    #[test]
    fn columns_line_up_and_nothing_trails() {
        let table = "NAME    STATUS   NOTE\na       running  x,\"y\"\nlonger  ok";
        assert_eq!(render(&rows(), usize::MAX), table);
        assert!(render(&rows(), 5).lines().all(|line| line.chars().count() <= 5));
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        assert_eq!(csv(&rows()), "NAME,STATUS,NOTE\na,running,\"x,\"\"y\"\"\"\nlonger,ok,");
    }

    #[test]
    fn durations_have_two_units() {
        let shown = [0, 59_999, 60_000, 3_725_000, 90_000_000].map(duration);
        assert_eq!(shown, ["0s", "59s", "1m 0s", "1h 2m", "1d 1h"]);
    }
}
