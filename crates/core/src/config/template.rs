//! Text with placeholders: `{name} {id} {data_dir} {socket} {port}`.
//!
//! A template is cut into parts once, when the configuration is loaded; filling it in pastes values between
//! the parts. A value is therefore never looked at again, and can't bring in a placeholder of its own.
//!
//! A placeholder is lower-case letters and `_` between braces. Other braces, as in JSON, are text.

use std::fmt;

/// Text with placeholders, already cut into parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Key(Key),
}

/// A placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `{name}`: the service.
    Name,
    /// `{id}`: the instance's id.
    Id,
    /// `{data_dir}`: the daemon's data directory.
    DataDir,
    /// `{socket}`: where the app is asked to listen.
    Socket,
    /// `{port}`: the TCP port given to the instance.
    Port,
}

/// What the placeholders stand for.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// `{name}`.
    pub name: &'a str,
    /// `{id}`.
    pub id: &'a str,
    /// `{data_dir}`.
    pub data_dir: &'a str,
    /// `{socket}`.
    pub socket: &'a str,
    /// `{port}`.
    pub port: &'a str,
}

impl Key {
    const ALL: [Self; 5] = [Self::Name, Self::Id, Self::DataDir, Self::Socket, Self::Port];

    fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Id => "id",
            Self::DataDir => "data_dir",
            Self::Socket => "socket",
            Self::Port => "port",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.word())
    }
}

/// A placeholder that stands for nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown placeholder {{{word}}}: there are {{name}}, {{id}}, {{data_dir}}, {{socket}} and {{port}}")]
pub struct UnknownPlaceholder {
    /// What stands between the braces.
    pub word: String,
    /// Where its brace opens, in bytes from the start of the text.
    pub offset: usize,
}

/// The word of the placeholder that `text`, which begins with a brace, begins with.
fn word_of(text: &str) -> Option<&str> {
    let word = &text[1..text.find('}')?];
    let plain = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    (plain && !word.is_empty()).then_some(word)
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Key(key) => key.fmt(f),
        })
    }
}

impl Template {
    /// Cuts a text into parts.
    ///
    /// # Errors
    /// The first placeholder that is not known.
    pub fn parse(text: &str) -> Result<Self, UnknownPlaceholder> {
        let mut parts = Vec::new();
        let mut from = 0;
        let mut at = 0;
        while let Some(offset) = text[at..].find('{').map(|found| at + found) {
            let Some(word) = word_of(&text[offset..]) else {
                at = offset + 1;
                continue;
            };
            let key = Key::ALL.into_iter().find(|key| key.word() == word);
            let key = key.ok_or_else(|| UnknownPlaceholder { word: word.to_owned(), offset })?;
            if from < offset {
                parts.push(Part::Text(text[from..offset].to_owned()));
            }
            parts.push(Part::Key(key));
            at = offset + word.len() + 2;
            from = at;
        }
        if from < text.len() {
            parts.push(Part::Text(text[from..].to_owned()));
        }
        Ok(Self { parts })
    }

    /// A template without placeholders.
    #[must_use]
    pub fn literal(text: impl Into<String>) -> Self {
        Self { parts: vec![Part::Text(text.into())] }
    }

    /// Whether a placeholder stands in it.
    #[must_use]
    pub fn has(&self, key: Key) -> bool {
        self.parts.contains(&Part::Key(key))
    }

    /// The same behind a text without placeholders.
    #[must_use]
    pub fn behind(mut self, text: impl Into<String>) -> Self {
        self.parts.insert(0, Part::Text(text.into()));
        self
    }

    /// The text with every placeholder replaced, once.
    #[must_use]
    pub fn fill(&self, values: &Values<'_>) -> String {
        let mut out = String::new();
        for part in &self.parts {
            out.push_str(match part {
                Part::Text(text) => text,
                Part::Key(Key::Name) => values.name,
                Part::Key(Key::Id) => values.id,
                Part::Key(Key::DataDir) => values.data_dir,
                Part::Key(Key::Socket) => values.socket,
                Part::Key(Key::Port) => values.port,
            });
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALUES: Values<'_> =
        Values { name: "api", id: "{port}", data_dir: "/d", socket: "/s", port: "30001" };

    #[test]
    fn placeholders_are_filled_in_once() {
        let template = Template::parse("{data_dir}/{name}-{id}.sock").unwrap();
        assert_eq!(template.fill(&VALUES), "/d/api-{port}.sock");
    }

    #[test]
    fn braces_that_are_no_placeholder_are_text() {
        for text in ["{\"a\": 1}", "{}", "{", "}{", "{Id}", "{{"] {
            assert_eq!(Template::parse(text).unwrap().fill(&VALUES), text);
        }
        assert_eq!(Template::parse("{{id}}").unwrap().fill(&VALUES), "{{port}}");
    }

    // faults: C8
    #[test]
    fn an_unknown_placeholder_is_named_with_its_place() {
        let error = Template::parse("a {nam}").unwrap_err();
        assert_eq!((error.word.as_str(), error.offset), ("nam", 2));
        assert!(error.to_string().contains("{nam}") && error.to_string().contains("{data_dir}"));
    }

    proptest! {
        #[test]
        fn what_was_parsed_is_shown_as_it_was_written(text in ".*") {
            if let Ok(template) = Template::parse(&text) {
                prop_assert_eq!(template.to_string(), text);
            }
        }
    }
}
