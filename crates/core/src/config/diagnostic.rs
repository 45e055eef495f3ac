//! What is wrong with a configuration, and where.

use std::{collections::BTreeSet, fmt, ops::Range};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// Collects findings about one text.
#[derive(Debug)]
pub(super) struct Findings<'t> {
    text: &'t str,
    list: Vec<Diagnostic>,
    /// Lines that are no TOML.
    broken: BTreeSet<usize>,
}

impl<'t> Findings<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, list: Vec::new(), broken: BTreeSet::new() }
    }

    pub(super) fn error(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.push(Severity::Error, span, message.into());
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
        let (before, after) = self.text.split_at(start.unwrap_or(0));
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let rest = after.find('\n').map_or(after, |end| &after[..end]);
        let line = before.matches('\n').count() + 1;
        if self.broken.contains(&line) {
            return;
        }
        self.list.push(Diagnostic {
            severity,
            line,
            column: before[line_start..].chars().count() + 1,
            message,
            snippet: format!("{}{}", &before[line_start..], rest.trim_end_matches('\r')),
            syntax: false,
        });
    }

    /// All findings in the order of the text.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|finding| (finding.line, finding.column));
        self.list
    }
}
