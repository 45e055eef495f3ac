//! Conditions on the fields of lines that are JSON objects or have logfmt pairs: `status>=500`.
//!
//! ```text
//!   {"http":{"status":502},"msg":"…"}     http.status    nested, or a name with a dot in it
//!   level=warn http.status=502 msg="…"    http.status    pairs anywhere in a line that is no object
//! ```
//!
//! A line is walked as bytes until the field is found, never parsed as a whole; one that was cut has the fields
//! before the cut.

mod find;

use std::cmp::Ordering;

use memchr::memmem;
use regex::bytes::Regex;

use super::filter::compile;
use find::find;

/// The longest condition, in bytes.
const LONGEST: usize = 1000;

/// Why a text is no condition.
#[derive(Debug, thiserror::Error)]
pub enum FieldError {
    /// Not of the form `NAME OPERATOR VALUE`.
    #[error("'{}' is no condition: write it as status>=500, with one of =, !=, >, >=, <, <=, ~, !~", .0.escape_debug())]
    Form(String),
    /// What is larger or smaller than something is a number.
    #[error("'{}': only numbers are larger or smaller, and '{}' is none: use =, != or ~", .name.escape_debug(), .value.escape_debug())]
    Number {
        /// The field.
        name: String,
        /// What it is compared with.
        value: String,
    },
    /// `~` is followed by no regular expression, or too large a one.
    #[error("'{}': that is no regular expression: {why}", .name.escape_debug())]
    Regex {
        /// The field.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// Too long.
    #[error("a condition on a field has more than {LONGEST} bytes")]
    Long,
}

/// A condition on a field. A line without the field does not meet it, whatever the condition.
#[derive(Clone, Debug)]
pub struct Field {
    name: String,
    test: Test,
    /// What a line with the field has in it, unless it has escapes.
    last: memmem::Finder<'static>,
}

#[derive(Clone, Debug)]
enum Test {
    Equal(Scalar),
    NotEqual(Scalar),
    /// By a number; the orders that meet it.
    Compare(Number, &'static [Ordering]),
    Matches(Regex),
    NotMatches(Regex),
}

/// A text, and the number it is.
#[derive(Clone, Debug)]
struct Scalar {
    text: Vec<u8>,
    number: Option<Number>,
}

/// Whole ones are compared as such: identifiers have more digits than a float.
#[derive(Clone, Copy, Debug)]
enum Number {
    Whole(i128),
    Float(f64),
}

impl Number {
    fn of(text: &[u8]) -> Option<Self> {
        let first = *text.strip_prefix(b"-").unwrap_or(text).first()?;
        let plain = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
        if !first.is_ascii_digit() || !text.iter().all(plain) {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        let float = || text.parse().ok().filter(|float: &f64| float.is_finite()).map(Self::Float);
        text.parse().ok().map(Self::Whole).or_else(float)
    }

    fn float(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Float(float) => float,
        }
    }

    fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => one.cmp(&other),
            // Neither is NaN, and the two zeros are one.
            _ => self.float().partial_cmp(&other.float()).unwrap_or(Ordering::Equal),
        }
    }
}

impl Scalar {
    fn new(text: &str) -> Self {
        Self { text: text.into(), number: Number::of(text.as_bytes()) }
    }

    fn is(&self, value: &[u8]) -> bool {
        let same = |number: Number| Number::of(value).is_some_and(|value| value.order(number).is_eq());
        self.text == value || self.number.is_some_and(same)
    }
}

/// Longer ones before those they begin with.
const OPERATORS: [&str; 10] = ["==", "=~", "=", "!=", "!~", ">=", ">", "<=", "<", "~"];

impl Field {
    /// Of `status>=500`, `user=alice`, `path~^/api/`. White space around name and value means nothing.
    ///
    /// # Errors
    /// It is no condition; in words for people.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        if text.len() > LONGEST {
            return Err(FieldError::Long);
        }
        let form = || FieldError::Form(text.to_owned());
        let at = text.find(['=', '!', '>', '<', '~']).ok_or_else(form)?;
        let (name, rest) = (text[..at].trim(), &text[at..]);
        let operator = OPERATORS.into_iter().find(|one| rest.starts_with(one)).ok_or_else(form)?;
        let value = rest[operator.len()..].trim();
        if name.is_empty() {
            return Err(form());
        }
        let regex = || {
            compile(value).map_err(|error| {
                let why = error.to_string();
                let why = why.lines().last().unwrap_or_default().trim();
                FieldError::Regex { name: name.into(), why: why.trim_start_matches("error: ").into() }
            })
        };
        let compare = |orders| match Number::of(value.as_bytes()) {
            Some(number) => Ok(Test::Compare(number, orders)),
            None => Err(FieldError::Number { name: name.into(), value: value.into() }),
        };
        let test = match operator {
            "=" | "==" => Test::Equal(Scalar::new(value)),
            "!=" => Test::NotEqual(Scalar::new(value)),
            ">" => compare(&[Ordering::Greater])?,
            ">=" => compare(&[Ordering::Greater, Ordering::Equal])?,
            "<" => compare(&[Ordering::Less])?,
            "<=" => compare(&[Ordering::Less, Ordering::Equal])?,
            "!~" => Test::NotMatches(regex()?),
            _ => Test::Matches(regex()?),
        };
        let last = name.rsplit('.').next().unwrap_or(name);
        let last = memmem::Finder::new(last.as_bytes()).into_owned();
        Ok(Self { name: name.to_owned(), test, last })
    }

    /// Texts that a line which meets it has, as they are or with characters escaped as JSON does: of the field's name,
    /// and of its value where only one is right.
    pub(super) fn texts(&self) -> Vec<Vec<u8>> {
        let value = match &self.test {
            Test::Equal(scalar) if scalar.number.is_none() => Some(scalar.text.as_slice()),
            _ => None,
        };
        let all = self.name.split('.').map(str::as_bytes).chain(value);
        // A control character is a letter after a backslash there, which looks like a part of the next word.
        let plain = |text: &&[u8]| text.iter().all(|byte| byte.is_ascii() && !byte.is_ascii_control());
        all.filter(plain).map(<[u8]>::to_vec).collect()
    }

    /// Whether any line of this text can meet it: cheaper than to look at each.
    pub(super) fn may_match(&self, text: &[u8]) -> bool {
        self.last.find(text).is_some() || memchr::memchr(b'\\', text).is_some()
    }

    /// Whether a line has the field and the field meets the condition.
    pub(super) fn matches(&self, line: &[u8]) -> bool {
        self.may_match(line) && find(line, &self.name).is_some_and(|value| self.holds(&value))
    }

    /// Whether it costs more than a comparison.
    pub(super) fn is_regex(&self) -> bool {
        matches!(self.test, Test::Matches(_) | Test::NotMatches(_))
    }

    fn holds(&self, value: &[u8]) -> bool {
        match &self.test {
            Test::Equal(scalar) => scalar.is(value),
            Test::NotEqual(scalar) => !scalar.is(value),
            Test::Compare(than, orders) => {
                Number::of(value).is_some_and(|number| orders.contains(&number.order(*than)))
            }
            Test::Matches(regex) => regex.is_match(value),
            Test::NotMatches(regex) => !regex.is_match(value),
        }
    }
}

#[cfg(test)]
mod tests;
