//! Names of services and instances.
//!
//! An instance is `service:id`. Both parts are safe to put into a path, a host name, a metric label and a
//! log line as they are: that is decided here, once, and nowhere else.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What a service may be called.
pub const SERVICE_PATTERN: &str = "[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?";
/// What an instance id may be. Upper case is folded first; `..` is refused.
pub const ID_PATTERN: &str = "[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?";

/// Why a name was refused. The message shows what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a service name.
    #[error("'{}' is not a service name: it must match {SERVICE_PATTERN}", .0.escape_debug())]
    Service(String),
    /// Not an instance id.
    #[error("'{}' is not an instance id: it must match {ID_PATTERN}, without '..'", .0.escape_debug())]
    Id(String),
    /// Not of the form `service:id`.
    #[error("'{}' is not an instance: write it as service:id, for example api:user123", .0.escape_debug())]
    Instance(String),
}

fn valid(text: &str, inner: &[u8]) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(&first), Some(&last)) => {
            bytes.len() <= 63
                && alnum(first)
                && alnum(last)
                && bytes.iter().all(|&b| alnum(b) || inner.contains(&b))
        }
        _ => false,
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A service: one `[service.NAME]` of the configuration.
    ServiceName
}
name! {
    /// The tenant's part of an instance's name.
    Id
}

impl FromStr for ServiceName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if valid(text, b"_-") { Ok(Self(text.into())) } else { Err(NameError::Service(text.to_owned())) }
    }
}

impl FromStr for Id {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let folded = text.to_ascii_lowercase();
        if valid(&folded, b"._-") && !folded.contains("..") {
            Ok(Self(folded.into()))
        } else {
            Err(NameError::Id(text.to_owned()))
        }
    }
}

/// One tenant's copy of a service, written `service:id`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceName {
    /// The service it is a copy of.
    pub service: ServiceName,
    /// The tenant.
    pub id: Id,
}

impl InstanceName {
    /// From its two parts, both checked.
    ///
    /// # Errors
    /// The part that is not a name.
    pub fn new(service: &str, id: &str) -> Result<Self, NameError> {
        Ok(Self { service: service.parse()?, id: id.parse()? })
    }

    /// Of a service the first one there can be, by name: those of the service begin with it in whatever is in order.
    #[must_use]
    pub fn first_of(service: &ServiceName) -> Self {
        Self { service: service.clone(), id: Id("0".into()) }
    }

    /// The host it is reached at below `domain`; `None`: an id with a dot has none, as a dot ends the first label.
    #[must_use]
    pub fn host(&self, domain: &str) -> Option<String> {
        let Self { service, id } = self;
        (!id.0.contains('.')).then(|| format!("{id}.{service}.{domain}"))
    }
}

impl FromStr for InstanceName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (service, id) = text.split_once(':').ok_or_else(|| NameError::Instance(text.to_owned()))?;
        Self::new(service, id)
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.id)
    }
}

impl fmt::Debug for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for InstanceName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InstanceName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
