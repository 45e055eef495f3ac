//! A line as text that can't be taken for anything but one line, whatever it says.

use std::fmt::Write;

use tenement_core::config::FileFormat;
use tenement_logs::{Level, LogLine};

use crate::api::{LineView, timestamp};

/// RFC 5424 section 6.2.5.
const APP_NAME_MAX: usize = 48;
/// The id of our structured data, with the enterprise number that is for those who have none (RFC 5612).
const STRUCTURED_DATA: &str = "tenement@32473";

/// Control characters as rsyslog writes them, `#` and three octal digits; tabs stay.
pub(super) fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        if c.is_control() && c != '\t' {
            let _ = write!(out, "#{:03o}", u32::from(c));
        } else {
            out.push(c);
        }
    }
}

/// A message of RFC 5424, without an end.
pub(super) fn syslog(line: &LogLine, host: &str, facility: u8, out: &mut String) {
    let severity = match line.level {
        Level::Debug => 7,
        Level::Info => 6,
        Level::Warn => 4,
        Level::Error => 3,
    };
    let priority = facility * 8 + severity;
    let (at, stream) = (timestamp(line.timestamp), line.stream.as_str());
    let (service, id) = (line.instance.service.as_str(), line.instance.id.as_str());
    let app = &service[..service.len().min(APP_NAME_MAX)];
    let _ = write!(
        out,
        "<{priority}>1 {at} {host} {app} {id} {stream} [{STRUCTURED_DATA} service=\"{service}\" id=\"{id}\" seq=\"{}\"",
        line.seq
    );
    if let Some(part) = line.part.as_str() {
        let _ = write!(out, " part=\"{part}\"");
    }
    if line.note {
        out.push_str(" source=\"daemon\"");
    }
    out.push_str("] ");
    escape(&line.message(), out);
}

/// The name of this machine as it may stand in a message; `-` when it has none.
pub(super) fn host() -> String {
    let name = rustix::system::uname();
    let name: String =
        name.nodename().to_string_lossy().chars().filter(char::is_ascii_graphic).take(255).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

/// A line of a file, with its end.
pub(super) fn file_line(format: FileFormat, line: &LogLine, host: &str, out: &mut String) {
    const USER: u8 = 1;
    match format {
        FileFormat::Text => {
            let stream = if line.note { "daemon" } else { line.stream.as_str() };
            let (at, level) = (timestamp(line.timestamp), line.level.as_str());
            let _ = write!(out, "{at} {} {stream} {level} ", line.instance);
            escape(&line.message(), out);
        }
        // JSON escapes what it must.
        FileFormat::Json => out.push_str(&serde_json::to_string(&LineView::from(line)).unwrap_or_default()),
        FileFormat::Syslog => syslog(line, host, USER, out),
    }
    out.push('\n');
}

#[cfg(test)]
pub(super) mod tests {
    use tenement_core::time::WallMillis;
    use tenement_logs::{Part, Stream};

    use super::*;

    pub(in super::super) fn line(seq: u64, bytes: &[u8]) -> LogLine {
        LogLine {
            timestamp: WallMillis(1_768_213_800_250),
            instance: "api:alice".parse().unwrap(),
            stream: Stream::Stderr,
            seq,
            level: Level::Error,
            bytes: bytes.to_vec(),
            part: Part::Whole,
            note: false,
        }
    }

    // faults: G5
    #[test]
    fn nothing_that_is_printed_makes_a_second_line_or_a_header() {
        let forged = line(7, b"a\r\n<0>1 - evil] \"\x1b[2J\xff\0\xc2\x85\tb");
        let mut text = String::new();
        syslog(&forged, "host", 16, &mut text);
        assert_eq!(
            text,
            "<131>1 2026-01-12T10:30:00.250Z host api alice stderr [tenement@32473 service=\"api\" id=\"alice\" \
             seq=\"7\"] a#015#012<0>1 - evil] \"#033[2J\u{fffd}#000#205\tb"
        );
        for (format, begin) in [
            (FileFormat::Text, "2026-01-12T10:30:00.250Z api:alice stderr error a#015#012<0>"),
            (FileFormat::Json, "{\"timestamp\":"),
            (FileFormat::Syslog, "<11>1 "),
        ] {
            let mut text = String::new();
            file_line(format, &forged, "host", &mut text);
            assert!(text.starts_with(begin), "{text}");
            assert_eq!(
                text.chars().filter(|c| c.is_control() && *c != '\t').count(),
                1 + text.matches('\u{85}').count(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_the_daemon_says_itself_is_told_apart() {
        let note = LogLine { note: true, ..line(0, b"lines were left out") };
        let (mut text, mut message) = (String::new(), String::new());
        file_line(FileFormat::Text, &note, "host", &mut text);
        assert!(text.contains(" api:alice daemon error lines were"), "{text}");
        syslog(&note, "host", 1, &mut message);
        assert!(message.contains(" source=\"daemon\"] lines were"), "{message}");
    }

    #[test]
    fn a_host_name_is_one_word() {
        assert!(host().bytes().all(|byte| byte.is_ascii_graphic()));
    }
}
