//! One table of the file: keys are taken out one after another, and what is left over was not expected.

use std::{collections::BTreeSet, ops::Range, time::Duration};

use toml::{
    Spanned,
    de::{DeInteger, DeTable, DeValue},
};

use super::{diagnostic::Findings, quantity, template::Template};

/// Similarity from which a known key is suggested for an unknown one.
const SIMILAR: f64 = 0.75;

/// A value and where it stands.
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

pub(super) struct Table<'a, 't, 'f> {
    /// As in messages: `[settings]`, `[service.api]`.
    name: String,
    table: &'a DeTable<'t>,
    known: BTreeSet<&'static str>,
    pub(super) findings: &'f mut Findings<'t>,
}

impl<'a, 't, 'f> Table<'a, 't, 'f> {
    pub(super) fn new(name: String, table: &'a DeTable<'t>, findings: &'f mut Findings<'t>) -> Self {
        Self { name, table, known: BTreeSet::new(), findings }
    }

    /// Says that a key, which is there, asks for what this version does not do.
    pub(super) fn unsupported(&mut self, key: &'static str, remedy: &str) {
        let span = self.raw(key).map(Spanned::span).unwrap_or_default();
        let message = format!("{} {key} is not enforced by this version: {remedy}", self.name);
        self.findings.unsupported(span, message);
    }

    /// The value of a key, as it is.
    pub(super) fn raw(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'t>>> {
        self.known.insert(key);
        self.table.iter().find(|(found, _)| found.get_ref() == key).map(|(_, value)| value)
    }

    /// The value of a key as `read` understands it; what it does not is an error that says what it must be.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&DeValue<'t>) -> Result<T, String>,
    ) -> Option<Found<T>> {
        let value = self.raw(key)?;
        match read(value.get_ref()) {
            Ok(read) => Some(Found { value: read, span: value.span() }),
            Err(why) => {
                self.findings.error(value.span(), format!("{} {key}: {why}", self.name));
                None
            }
        }
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<Found<String>> {
        self.read(key, |value| {
            let text = value.as_str().ok_or_else(|| format!("must be a text, not {}", kind(value)))?;
            if text.contains('\0') { Err("can't hold a NUL".into()) } else { Ok(text.to_owned()) }
        })
    }

    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        let read = |value: &DeValue<'_>| {
            value.as_bool().ok_or_else(|| format!("must be true or false, not {}", kind(value)))
        };
        self.read(key, read).map_or(default, |found| found.value)
    }

    pub(super) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        let read = |value: &DeValue<'_>| match value {
            DeValue::String(text) => quantity::duration(text),
            _ => number(value)
                .ok_or_else(|| format!("must be a duration, not {}", kind(value)))
                .and_then(quantity::seconds),
        };
        self.read(key, read).map(|found| found.value)
    }

    /// A duration whose key says that it is in milliseconds.
    pub(super) fn millis(&mut self, key: &'static str) -> Option<Duration> {
        let read = |value: &DeValue<'_>| match value {
            DeValue::String(text) => quantity::duration(text),
            _ => number(value)
                .ok_or_else(|| format!("must be milliseconds, not {}", kind(value)))
                .and_then(|ms| quantity::seconds(ms / 1e3)),
        };
        self.read(key, read).map(|found| found.value)
    }

    pub(super) fn size(&mut self, key: &'static str) -> Option<u64> {
        let read = |value: &DeValue<'_>| match value {
            DeValue::String(text) => quantity::size(text),
            DeValue::Integer(bytes) => quantity::bytes(whole(bytes).unwrap_or(i128::MAX), bytes.as_str()),
            _ => Err(format!("must be a size, not {}", kind(value))),
        };
        self.read(key, read).map(|found| found.value)
    }

    pub(super) fn integer(&mut self, key: &'static str, range: Range<u64>) -> Option<u64> {
        let read = |value: &DeValue<'_>| {
            let found = match value {
                DeValue::Integer(digits) => whole(digits).and_then(|whole| u64::try_from(whole).ok()),
                _ => return Err(format!("must be a whole number, not {}", kind(value))),
            };
            let wanted = || format!("must be from {} to {}", range.start, range.end - 1);
            found.filter(|found| range.contains(found)).ok_or_else(wanted)
        };
        self.read(key, read).map(|found| found.value)
    }

    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let read = |value: &DeValue<'_>| {
            let word = value.as_str().unwrap_or_default().replace('_', "-");
            let words: Vec<_> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let found = choices.iter().find(|(choice, _)| *choice == word).map(|(_, meaning)| *meaning);
            found.ok_or_else(|| format!("must be one of {}", words.join(", ")))
        };
        self.read(key, read).map(|found| found.value)
    }

    pub(super) fn template(&mut self, key: &'static str) -> Option<Found<Template>> {
        let found = self.text(key)?;
        match Template::parse(&found.value) {
            Ok(value) => Some(Found { value, span: found.span }),
            Err(error) => {
                self.findings.error(found.span, format!("{} {key}: {error}", self.name));
                None
            }
        }
    }

    /// A text, or a list of texts.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Found<Vec<String>>> {
        let read = |value: &DeValue<'_>| {
            let wrong = |value: &DeValue<'_>| format!("must be a list of texts, not {}", kind(value));
            match value {
                DeValue::String(text) => Ok(vec![text.to_string()]),
                DeValue::Array(items) => {
                    let text = |item: &Spanned<DeValue<'_>>| {
                        item.get_ref().as_str().map(str::to_owned).ok_or_else(|| wrong(item.get_ref()))
                    };
                    items.iter().map(text).collect()
                }
                _ => Err(wrong(value)),
            }
        };
        self.read(key, read)
    }

    /// Every key that was asked for.
    #[cfg(test)]
    pub(super) fn known(&self) -> impl Iterator<Item = &'static str> {
        self.known.iter().copied()
    }

    /// Warns of every key that was not asked for.
    pub(super) fn finish(self) {
        for key in self.table.keys().filter(|key| !self.known.contains(key.get_ref().as_ref())) {
            let meant = did_you_mean(key.get_ref(), self.known.iter().copied());
            self.findings
                .warning(key.span(), format!("{}: unknown key '{}'{meant}", self.name, key.get_ref()));
        }
    }
}

/// " (did you mean 'x'?)", or nothing.
pub(super) fn did_you_mean<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> String {
    let rated = known.map(|key| (strsim::jaro_winkler(word, key), key));
    let best = rated.filter(|(likeness, _)| *likeness >= SIMILAR).max_by(|a, b| a.0.total_cmp(&b.0));
    best.map_or_else(String::new, |(_, key)| format!(" (did you mean '{key}'?)"))
}

/// A whole number by its value, however it is written; `None` if it is beyond all that anybody means.
pub(super) fn whole(digits: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(digits.as_str(), digits.radix()).ok()
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(digits) => Some(whole(digits).map_or(f64::INFINITY, |whole| whole as f64)),
        DeValue::Float(digits) => digits.as_str().parse().ok(),
        _ => None,
    }
}

/// The type of a value, for people.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
