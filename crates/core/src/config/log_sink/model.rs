//! A log sink as checked values.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use super::super::template::Template;

/// As in RFC 5424 section 6.2.1; the first is the default.
pub(super) const FACILITIES: [(&str, u8); 10] = [
    ("user", 1),
    ("daemon", 3),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// One place that lines go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSink {
    /// What it is called among those of its service, or of the settings.
    pub name: String,
    /// Whether it begins with what is kept already when it is new.
    pub from: SinkFrom,
    /// What is there.
    pub kind: SinkKind,
}

/// Where a new sink begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkFrom {
    /// With the lines from now on.
    Now,
    /// With the oldest line that is kept.
    Oldest,
}

/// What receives lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkKind {
    /// OTLP over HTTP, with protobuf.
    Otlp {
        /// A whole URL.
        endpoint: String,
        /// Sent with each request. Values are secret.
        headers: BTreeMap<String, String>,
        /// Certificates that are trusted, instead of the system's.
        ca_file: Option<PathBuf>,
        /// For one request.
        timeout: Duration,
    },
    /// Syslog as in RFC 5424.
    Syslog {
        /// Where to.
        address: SyslogAddress,
        /// RFC 5424 section 6.2.1.
        facility: u8,
    },
    /// Files.
    File {
        /// Whole, with `{name}`, `{id}` and `{data_dir}`.
        path: Template,
        /// What a line looks like.
        format: FileFormat,
        /// Bytes at which a file is set aside; `None`: never.
        rotate_size: Option<u64>,
        /// Files that are kept of those set aside.
        keep: u64,
    },
}

impl SinkKind {
    /// The word of the file.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Otlp { .. } => "otlp",
            Self::Syslog { .. } => "syslog",
            Self::File { .. } => "file",
        }
    }

    /// Where lines go, without what is secret.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            Self::Otlp { endpoint, .. } => match endpoint.split_once('?') {
                Some((before, _)) => format!("{before}?***"),
                None => endpoint.clone(),
            },
            Self::Syslog { address, .. } => address.to_string(),
            Self::File { path, .. } => path.to_string(),
        }
    }
}

/// Where a syslog daemon listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogAddress {
    /// One message in each datagram, RFC 5426. Host and port.
    Udp(String),
    /// Messages with their length in front, RFC 6587 section 3.4.1. Host and port.
    Tcp(String),
    /// One message in each datagram to a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for SyslogAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(to) => write!(f, "udp://{to}"),
            Self::Tcp(to) => write!(f, "tcp://{to}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// The word of the file for a facility.
#[must_use]
pub fn facility_word(facility: u8) -> &'static str {
    FACILITIES.iter().find(|(_, code)| *code == facility).map_or(FACILITIES[0].0, |(word, _)| word)
}

/// What a line of a file looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Time, instance, stream, level and the line.
    Text,
    /// An object, as the API shows it.
    Json,
    /// RFC 5424.
    Syslog,
}

impl FileFormat {
    /// The word of the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Syslog => "syslog",
        }
    }
}
