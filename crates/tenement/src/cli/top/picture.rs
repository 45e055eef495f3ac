//! How it looks.

use ratatui::{
    Frame,
    layout::{Alignment, Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::Line,
    widgets::{Cell, Paragraph, Row, Table},
};

use super::view::{Column, View};

const KEYS: &str = "q quit  < > sort  r reverse  up down move";

pub(super) fn draw(frame: &mut Frame<'_>, view: &mut View, colours: bool) {
    let areas = Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]);
    let [head, body, foot]: [Rect; 3] = areas.areas(frame.area());
    let (memory, cpu) = view.total();
    let summary = format!("{} of {} running  {memory:.1}M  {cpu:.1}%", view.running(), view.rows.len());
    frame.render_widget(Line::from(summary), head);
    // One for the titles.
    view.fit(usize::from(body.height.saturating_sub(1)));
    frame.render_widget(table(view, colours, usize::from(body.width)), body);
    let note = view.note();
    let (text, style) = match (note.is_empty(), colours) {
        (true, _) => (KEYS, Style::new().add_modifier(Modifier::DIM)),
        (false, true) => (note, Style::new().fg(Color::Red)),
        (false, false) => (note, Style::new().add_modifier(Modifier::BOLD)),
    };
    frame.render_widget(Paragraph::new(text).style(style), foot);
}

/// What a column takes.
fn width_of(view: &View, column: Column) -> usize {
    match column {
        // One that is sorted by has a mark behind its title.
        Column::Instance => {
            let names = view.rows.iter().map(|row| row.instance.chars().count());
            names.max().unwrap_or(0).max(column.title().len() + 2)
        }
        Column::Status | Column::Health | Column::Restarts => 10,
        Column::Uptime | Column::Memory | Column::Cpu => 9,
    }
}

/// The columns that fit, from the left on: what there is has a name at least.
fn columns(view: &View, width: usize) -> Vec<Column> {
    let mut left = width;
    let fits = |column: &Column| {
        let takes = width_of(view, *column) + 1;
        let fits = takes <= left + 1;
        left = left.saturating_sub(takes);
        fits || *column == Column::Instance
    };
    Column::ALL.into_iter().take_while(fits).collect()
}

fn table(view: &View, colours: bool, width: usize) -> Table<'static> {
    let columns = columns(view, width);
    let title = |column: Column| {
        let sorted = column == view.sort;
        let mark = match (sorted, view.falling) {
            (false, _) => "",
            (true, true) => " v",
            (true, false) => " ^",
        };
        let style = if sorted { Modifier::BOLD | Modifier::REVERSED } else { Modifier::BOLD };
        cell(column, format!("{}{mark}", column.title())).style(Style::new().add_modifier(style))
    };
    let shown = view.rows.iter().skip(view.top).take(view.fits);
    let rows = shown.map(|row| {
        let cells = columns.iter().map(|&column| {
            let text = row.cell(column);
            let style = colour(column, &text).filter(|_| colours);
            cell(column, text).style(style.map_or(Style::new(), |colour| Style::new().fg(colour)))
        });
        Row::new(cells.collect::<Vec<_>>())
    });
    let widths = columns.iter().map(|&column| match column {
        Column::Instance => Constraint::Fill(1),
        other => Constraint::Length(u16::try_from(width_of(view, other)).unwrap_or(u16::MAX)),
    });
    let titles = Row::new(columns.iter().map(|&column| title(column)).collect::<Vec<_>>());
    let widths = widths.collect::<Vec<_>>();
    Table::new(rows.collect::<Vec<_>>(), widths).header(titles).column_spacing(1)
}

fn cell(column: Column, text: String) -> Cell<'static> {
    let figure = matches!(column, Column::Uptime | Column::Restarts | Column::Memory | Column::Cpu);
    let side = if figure { Alignment::Right } else { Alignment::Left };
    Cell::new(Line::from(text).alignment(side))
}

fn colour(column: Column, text: &str) -> Option<Color> {
    match (column, text) {
        (Column::Status, "failed") | (Column::Health, "unhealthy") => Some(Color::Red),
        (Column::Status, "starting" | "restarting" | "stopping") | (Column::Health, "degraded") => {
            Some(Color::Yellow)
        }
        (Column::Status, "running") | (Column::Health, "healthy") => Some(Color::Green),
        (Column::Status, _) => Some(Color::DarkGray),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};
    use serde_json::json;

    use super::*;

    fn drawn(width: u16, height: u16) -> Vec<String> {
        let instance = |name: &str, cpu: f64| {
            json!({ "instance": name, "status": "running", "health": "healthy", "uptime_ms": 5000,
                "restart_count": 1, "memory_mb": 20.0, "cpu_percent": cpu })
        };
        let list =
            json!({ "instances": [instance("api:a", 1.0), instance("api:b", 2.5), instance("api:c", 0.0)] });
        let mut view = View::new(Column::Cpu, &list);
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, &mut view, true)).unwrap();
        let buffer = terminal.backend().buffer();
        let rows = buffer.content().chunks(usize::from(width));
        rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned())
            .collect()
    }

    #[test]
    fn the_busiest_are_on_top_and_the_keys_are_named() {
        let lines = drawn(80, 5);
        assert_eq!(lines[0], "3 of 3 running  60.0M  3.5%");
        assert!(lines[1].starts_with("INSTANCE") && lines[1].ends_with("CPU v"), "{lines:?}");
        assert!(lines[2].starts_with("api:b") && lines[2].ends_with("2.5%"), "{lines:?}");
        assert!(lines[3].starts_with("api:a") && lines[4].starts_with("q quit"), "{lines:?}");
    }

    // faults: L6
    #[test]
    fn names_stay_on_narrow_terminals_and_columns_on_the_right_go() {
        for (width, last) in [(80, "CPU v"), (60, "RESTARTS"), (40, "HEALTH"), (20, "INSTANCE")] {
            let lines = drawn(width, 5);
            let title = lines[1].trim_end();
            assert!(title.ends_with(last), "{width}: {lines:?}");
            assert!(lines[2].starts_with("api:b") && lines[3].starts_with("api:a"), "{width}: {lines:?}");
        }
    }

    // faults: L6
    #[test]
    fn any_terminal_is_large_enough() {
        for (width, height) in [(1, 1), (20, 3), (80, 1), (1, 40)] {
            assert_eq!(drawn(width, height).len(), usize::from(height));
        }
    }
}
