//! A line as it is shown.

use serde::Serialize;
use tenement_core::{name::InstanceName, time::WallMillis};
use tenement_logs::{LogLine, Near};
use utoipa::ToSchema;

use super::super::instances::timestamp;

/// One line.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LogLine)]
pub(crate) struct Line {
    /// When its bytes arrived.
    #[schema(format = DateTime)]
    timestamp: String,
    /// Who wrote it.
    #[schema(example = "api:user123")]
    instance: String,
    /// `debug`, `info`, `warn` or `error`.
    level: &'static str,
    message: String,
    service: String,
    id: String,
    /// `stdout` or `stderr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    stream: Option<&'static str>,
    /// Its place among all lines of this instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    seq: Option<u64>,
    /// For a piece of a line over 64 KiB (`cut`, `last`), or one whose end has not been written yet (`open`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    part: Option<&'static str>,
    /// `daemon`: the daemon's own words, put where lines of the instance were left out. No instance can write one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    source: Option<&'static str>,
    /// While lines are followed: so many of this instance were passed over. Then this is no line of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    dropped: Option<u64>,
    /// Where lines around those that were found are asked for: this one was not found itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    context: Option<bool>,
}

impl From<&Near> for Line {
    fn from(near: &Near) -> Self {
        Self { context: (!near.is_match).then_some(true), ..Self::from(&near.line) }
    }
}

impl From<&LogLine> for Line {
    fn from(line: &LogLine) -> Self {
        Self {
            timestamp: timestamp(line.timestamp),
            instance: line.instance.to_string(),
            level: line.level.as_str(),
            message: line.message().into_owned(),
            service: line.instance.service.to_string(),
            id: line.instance.id.to_string(),
            stream: Some(line.stream.as_str()),
            seq: Some(line.seq),
            part: line.part.as_str(),
            source: line.note.then_some("daemon"),
            dropped: None,
            context: None,
        }
    }
}

impl Line {
    /// In place of lines that were passed over.
    pub(super) fn dropped(instance: &InstanceName, lines: u64, at: WallMillis) -> Self {
        Self {
            timestamp: timestamp(at),
            instance: instance.to_string(),
            level: "warn",
            message: format!("{lines} lines dropped: the reader is too slow"),
            service: instance.service.to_string(),
            id: instance.id.to_string(),
            stream: None,
            seq: None,
            part: None,
            source: Some("daemon"),
            dropped: Some(lines),
            context: None,
        }
    }
}
