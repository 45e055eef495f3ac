//! What is shown, in which order, and what keys do to it.

use std::cmp::Ordering;

use clap::ValueEnum;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::Value;

use crate::cli::{output::text, table};

/// What can be sorted by, in the order of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Column {
    Instance,
    Status,
    Health,
    Uptime,
    Restarts,
    Memory,
    Cpu,
}

impl Column {
    pub(super) const ALL: [Self; 7] =
        [Self::Instance, Self::Status, Self::Health, Self::Uptime, Self::Restarts, Self::Memory, Self::Cpu];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Instance => "INSTANCE",
            Self::Status => "STATUS",
            Self::Health => "HEALTH",
            Self::Uptime => "UPTIME",
            Self::Restarts => "RESTARTS",
            Self::Memory => "MEMORY",
            Self::Cpu => "CPU",
        }
    }

    /// Names begin with the first one, figures with the largest.
    fn falls(self) -> bool {
        !matches!(self, Self::Instance | Self::Status | Self::Health)
    }

    fn beside(self, step: isize) -> Self {
        let at = Self::ALL.iter().position(|&one| one == self).unwrap_or_default();
        let at = at.saturating_add_signed(step).min(Self::ALL.len() - 1);
        Self::ALL[at]
    }
}

/// One instance.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) instance: String,
    pub(super) status: String,
    pub(super) health: String,
    uptime_ms: u64,
    restarts: u64,
    memory: f64,
    cpu: f64,
}

impl Row {
    fn of(instance: &Value) -> Self {
        let up = instance["status"] == "running";
        let float = |key: &str| instance[key].as_f64().filter(|_| up).unwrap_or(0.0);
        Self {
            instance: text(instance, "instance"),
            status: text(instance, "status"),
            health: text(instance, "health"),
            uptime_ms: instance["uptime_ms"].as_u64().filter(|_| up).unwrap_or(0),
            restarts: instance["restart_count"].as_u64().unwrap_or(0),
            memory: float("memory_mb"),
            cpu: float("cpu_percent"),
        }
    }

    pub(super) fn cell(&self, column: Column) -> String {
        let if_up = |text: String| if self.status == "running" { text } else { "-".into() };
        match column {
            Column::Instance => self.instance.clone(),
            Column::Status => self.status.clone(),
            Column::Health => self.health.clone(),
            Column::Uptime => if_up(table::duration(self.uptime_ms)),
            Column::Restarts => self.restarts.to_string(),
            Column::Memory => if_up(format!("{:.1}M", self.memory)),
            Column::Cpu => if_up(format!("{:.1}%", self.cpu)),
        }
    }

    fn compare(&self, other: &Self, column: Column) -> Ordering {
        match column {
            Column::Instance => self.instance.cmp(&other.instance),
            Column::Status => self.status.cmp(&other.status),
            Column::Health => self.health.cmp(&other.health),
            Column::Uptime => self.uptime_ms.cmp(&other.uptime_ms),
            Column::Restarts => self.restarts.cmp(&other.restarts),
            Column::Memory => self.memory.total_cmp(&other.memory),
            Column::Cpu => self.cpu.total_cmp(&other.cpu),
        }
    }
}

/// The state of the display.
pub(super) struct View {
    pub(super) rows: Vec<Row>,
    pub(super) sort: Column,
    pub(super) falling: bool,
    /// The first row on the screen, and how many fit; the picture says.
    pub(super) top: usize,
    pub(super) fits: usize,
    trouble: String,
}

impl View {
    pub(super) fn new(sort: Column, list: &Value) -> Self {
        let (rows, trouble) = (Vec::new(), String::new());
        let mut view = Self { rows, sort, falling: sort.falls(), top: 0, fits: 1, trouble };
        view.renew(list);
        view
    }

    pub(super) fn renew(&mut self, list: &Value) {
        self.rows = list["instances"].as_array().into_iter().flatten().map(Row::of).collect();
        self.trouble.clear();
        self.order();
    }

    /// The daemon does not answer; what was last seen stays.
    pub(super) fn trouble(&mut self, message: String) {
        self.trouble = tenement_logs::inert(&message).into_owned();
    }

    /// What is wrong, if anything is.
    pub(super) fn note(&self) -> &str {
        &self.trouble
    }

    pub(super) fn running(&self) -> usize {
        self.rows.iter().filter(|row| row.status == "running").count()
    }

    /// Memory in MiB and processor time in percent of all.
    pub(super) fn total(&self) -> (f64, f64) {
        self.rows.iter().fold((0.0, 0.0), |(memory, cpu), row| (memory + row.memory, cpu + row.cpu))
    }

    /// Whether it means the end.
    pub(super) fn press(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return true,
            KeyCode::Char('q') | KeyCode::Esc => return true,
            KeyCode::Left | KeyCode::Char('<') => self.sort_by(self.sort.beside(-1)),
            KeyCode::Right | KeyCode::Char('>') => self.sort_by(self.sort.beside(1)),
            KeyCode::Char('r') => self.falling = !self.falling,
            KeyCode::Up | KeyCode::Char('k') => self.top = self.top.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.top += 1,
            KeyCode::PageUp => self.top = self.top.saturating_sub(self.fits),
            KeyCode::PageDown => self.top += self.fits,
            KeyCode::Home => self.top = 0,
            KeyCode::End => self.top = self.rows.len(),
            _ => {}
        }
        self.order();
        false
    }

    fn sort_by(&mut self, column: Column) {
        if self.sort != column {
            (self.sort, self.falling, self.top) = (column, column.falls(), 0);
        }
    }

    fn order(&mut self) {
        let (sort, falling) = (self.sort, self.falling);
        self.rows.sort_by(|a, b| {
            let order = a.compare(b, sort);
            let order = if falling { order.reverse() } else { order };
            order.then_with(|| a.instance.cmp(&b.instance))
        });
        self.top = self.top.min(self.rows.len().saturating_sub(self.fits.max(1)));
    }

    /// How many rows there is room for.
    pub(super) fn fit(&mut self, rows: usize) {
        self.fits = rows;
        self.order();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn view() -> View {
        let list = json!({ "instances": [
            { "instance": "a:1", "status": "running", "memory_mb": 5.0, "cpu_percent": 1.0, "restart_count": 9 },
            { "instance": "b:1", "status": "running", "memory_mb": 7.0, "cpu_percent": 0.5, "uptime_ms": 61_000 },
            { "instance": "c:1", "status": "sleeping", "memory_mb": 99.0, "restart_count": 9 },
        ]});
        View::new(Column::Cpu, &list)
    }

    fn names(view: &View) -> Vec<&str> {
        view.rows.iter().map(|row| row.instance.as_str()).collect()
    }

    fn press(view: &mut View, code: KeyCode) -> bool {
        view.press(KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn keys_choose_column_and_order() {
        let mut view = view();
        assert_eq!(names(&view), ["a:1", "b:1", "c:1"]);
        press(&mut view, KeyCode::Left);
        assert_eq!((view.sort, names(&view)), (Column::Memory, vec!["b:1", "a:1", "c:1"]));
        press(&mut view, KeyCode::Left);
        assert_eq!((view.sort, names(&view)), (Column::Restarts, vec!["a:1", "c:1", "b:1"]));
        press(&mut view, KeyCode::Char('r'));
        assert_eq!(names(&view), ["b:1", "a:1", "c:1"], "equals stay by name");
        for _ in 0..20 {
            press(&mut view, KeyCode::Char('<'));
        }
        assert_eq!((view.sort, view.falling), (Column::Instance, false));
        assert!(press(&mut view, KeyCode::Char('q')) && press(&mut view, KeyCode::Esc));
        assert!(view.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
    }

    #[test]
    fn moving_stops_at_both_ends() {
        let mut view = view();
        view.fit(2);
        press(&mut view, KeyCode::Up);
        assert_eq!(view.top, 0);
        press(&mut view, KeyCode::PageDown);
        assert_eq!(view.top, 1);
        press(&mut view, KeyCode::End);
        assert_eq!(view.top, 1);
        press(&mut view, KeyCode::Home);
        assert_eq!(view.top, 0);
        view.renew(&Value::Null);
        assert_eq!((view.top, view.rows.len()), (0, 0));
    }

    #[test]
    fn only_what_runs_uses_anything() {
        let view = view();
        assert_eq!((view.running(), view.total()), (2, (12.0, 1.5)));
        assert_eq!(view.rows[2].cell(Column::Memory), "-");
        assert_eq!(view.rows[1].cell(Column::Uptime), "1m 1s");
    }
}
