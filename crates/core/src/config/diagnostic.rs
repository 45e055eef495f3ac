//! What is wrong with a configuration, and where.

use std::{collections::BTreeSet, fmt, ops::Range};

use super::effective::masked;

/// How bad it is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration can't be used.
    Error,
    /// It asks for what this version does not enforce: a daemon refuses it.
    Unsupported,
    /// It can, but probably does not say what was meant.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// For people.
    pub message: String,
    /// The line it is about, without secrets.
    pub snippet: String,
    /// The text is no TOML there.
    pub syntax: bool,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error | Severity::Unsupported => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}:{}: {word}: {}", self.line, self.column, self.message)
    }
}

impl Diagnostic {
    /// Whether a daemon refuses the configuration because of it.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity != Severity::Warning
    }

    /// The line it is about, with a caret below the place.
    #[must_use]
    pub fn pointer(&self) -> String {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let before: String =
            self.snippet.chars().take(self.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        format!("{number} | {}\n{margin} | {before}^", self.snippet)
    }
}

/// A line without the users and passwords of addresses in it.
fn without_secrets(line: &str) -> String {
    let mut parts = line.split("://");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let value = part.split(['\'', '"']).next().unwrap_or_default();
        shown.push_str("://");
        match value.rfind('@') {
            Some(at) => shown.extend(["***", &part[at..]]),
            None => shown.push_str(part),
        }
    }
    shown
}

/// A line without its secrets: those of addresses, and what stands behind a key whose value is not to be shown. `hidden`: it is
/// in a table of which nothing but keys and headers is shown.
fn shown(line: &str, hidden: bool) -> String {
    let line = without_secrets(line);
    let begin = line.trim_start();
    if begin.starts_with(['[', '#']) || begin.is_empty() {
        return line;
    }
    if hidden && !line.contains('=') {
        // A value that goes over several lines.
        return "***".to_owned();
    }
    let ends = line.match_indices('=').map(|(at, _)| at);
    let secret = ends.into_iter().find(|&at| hidden || is_secret(&line[..at]));
    secret.map_or_else(|| line.clone(), |at| format!("{} ***", &line[..=at]))
}

/// Whether what comes behind this and a `=` may be a secret: by the key that it ends with.
fn is_secret(before: &str) -> bool {
    let key = before.rsplit(['{', ',']).next().unwrap_or_default();
    !masked(key, "").is_empty() || hides(key)
}

/// Whether a table of this name, or a key in it, holds what is not to be shown.
fn hides(key: &str) -> bool {
    key.split('.').any(|part| matches!(part.trim().trim_matches(['"', '\'']), "env" | "headers"))
}

/// The lines that begin a table, and whether it holds what is not to be shown.
fn tables(text: &str) -> Vec<(usize, bool)> {
    let begins = text.lines().enumerate().filter_map(|(index, line)| {
        let name = line.trim_start().strip_prefix('[')?;
        Some((index + 1, hides(name.split(']').next()?)))
    });
    begins.collect()
}

/// Findings that are kept; nobody reads more of them.
const MOST: usize = 1000;
/// Characters of a line that are shown.
const SNIPPET: usize = 500;

/// Collects findings about one text.
#[derive(Debug)]
pub(super) struct Findings<'t> {
    text: &'t str,
    /// Where each line begins.
    lines: Vec<usize>,
    tables: Vec<(usize, bool)>,
    list: Vec<Diagnostic>,
    /// Those that are not kept, and the worst of them.
    more: usize,
    worst: Option<Severity>,
    /// Lines that are no TOML.
    broken: BTreeSet<usize>,
}

impl<'t> Findings<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        let tables = tables(text);
        Self { text, lines, tables, list: Vec::new(), more: 0, worst: None, broken: BTreeSet::new() }
    }

    pub(super) fn error(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.push(Severity::Error, span, message.into());
    }

    /// An error about a value with `secret` in it, which is not shown.
    pub(super) fn secret_error(&mut self, span: Range<usize>, message: String, secret: Option<&str>) {
        let before = self.list.len();
        self.push(Severity::Error, span, message);
        let secret = secret.filter(|secret| !secret.is_empty());
        let Some((secret, finding)) = secret.zip(self.list.get_mut(before)) else { return };
        finding.snippet = finding.snippet.replace(secret, "***");
        if !finding.snippet.contains("***@") {
            // Written in another way, with escapes or over lines: nothing of the value is shown.
            finding.snippet = finding.snippet.chars().take(finding.column - 1).chain("***".chars()).collect();
        }
    }

    /// An error unless it could come from a syntax error elsewhere: something is missing.
    pub(super) fn missing(&mut self, span: Range<usize>, message: impl Into<String>) {
        if self.broken.is_empty() {
            self.error(span, message);
        }
    }

    pub(super) fn unsupported(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.push(Severity::Unsupported, span, message.into());
    }

    /// Not given after a syntax error, which may have moved a key to another table.
    pub(super) fn warning(&mut self, span: Range<usize>, message: impl Into<String>) {
        if self.broken.is_empty() {
            self.push(Severity::Warning, span, message.into());
        }
    }

    /// What was found until now are syntax errors. The first of each line is kept: the others follow from it, as does
    /// whatever else is found there.
    pub(super) fn end_of_syntax(&mut self) {
        self.list.sort_by_key(|finding| (finding.line, finding.column));
        self.list.dedup_by_key(|finding| finding.line);
        self.list.iter_mut().for_each(|finding| finding.syntax = true);
        self.broken = self.list.iter().map(|finding| finding.line).collect();
    }

    fn push(&mut self, severity: Severity, span: Range<usize>, message: String) {
        let start = (0..=span.start.min(self.text.len())).rev().find(|&at| self.text.is_char_boundary(at));
        let start = start.unwrap_or(0);
        let line = self.lines.partition_point(|&begin| begin <= start);
        if self.broken.contains(&line) {
            return;
        }
        if self.list.len() == MOST {
            self.more += 1;
            self.worst = Some(self.worst.map_or(severity, |worst| worst.min(severity)));
            return;
        }
        let begin = self.lines[line - 1];
        let whole = self.text[begin..].split('\n').next().unwrap_or_default().trim_end_matches('\r');
        let table = self.tables.partition_point(|&(at, _)| at <= line).checked_sub(1);
        let hidden = table.is_some_and(|table| self.tables[table].1);
        self.list.push(Diagnostic {
            severity,
            line,
            column: self.text[begin..start].chars().count() + 1,
            message,
            snippet: shown(whole, hidden).chars().take(SNIPPET).collect(),
            syntax: false,
        });
    }

    /// All findings in the order of the text.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|finding| (finding.line, finding.column));
        if let Some(severity) = self.worst {
            let (line, message) = (self.lines.len(), format!("and {} more like these", self.more));
            let last =
                Diagnostic { severity, line, column: 1, message, snippet: String::new(), syntax: false };
            self.list.push(last);
        }
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // faults: A17
    #[test]
    fn a_line_is_shown_without_secrets() {
        let text = r#"
API_SECRET = "do-not-show-me
env = { A = "do-not-show-me", B = 1
tokens = ["do-not-show-me", x]
kind = "otlp", headers={Authorization="do-not-show-me"}
more = { level = 1, password = "do-not-show-me" }
env.LEVEL = "do-not-show-me"
[service.api."env"]
LEVEL = ["do-not-show-me"
  "do-not-show-me"]
[log_sink.x.headers]
X = 'do-not-show-me'
[service.api]
command = 5 # shown
"#;
        let mut findings = Findings::new(text);
        let begins: Vec<_> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
        for at in begins {
            findings.error(at..at, "wrong");
        }
        let shown: Vec<_> = findings.finish().into_iter().map(|finding| finding.snippet).collect();
        assert!(shown.iter().all(|line| !line.contains("do-not-show-me")), "{shown:#?}");
        assert_eq!(shown[0], "API_SECRET = ***");
        assert_eq!(shown[4], "more = { level = 1, password = ***");
        assert_eq!(shown[12], "command = 5 # shown");
    }
}
