//! What is wrong with a configuration, and where.

use std::{collections::BTreeSet, fmt, ops::Range};

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
    /// The line it is about, as written.
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
        Self { text, lines, list: Vec::new(), more: 0, worst: None, broken: BTreeSet::new() }
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
        self.list.push(Diagnostic {
            severity,
            line,
            column: self.text[begin..start].chars().count() + 1,
            message,
            snippet: without_secrets(whole).chars().take(SNIPPET).collect(),
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
