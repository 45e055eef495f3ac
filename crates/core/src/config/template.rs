//! Text with placeholders: `{name} {id} {data_dir} {socket} {port}`.
//!
//! A template is cut into parts once, when the configuration is loaded; filling it in pastes values between
//! the parts. A value is therefore never looked at again, and can't bring in a placeholder of its own.

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

impl Template {
    /// A template without placeholders.
    #[must_use]
    pub fn literal(text: impl Into<String>) -> Self {
        Self { parts: vec![Part::Text(text.into())] }
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
