//! What the file says of logs: the part of it that can be taken anew while the daemon runs.

use std::sync::Arc;

use toml::de::DeValue;

use super::{
    Config, Service,
    table::{Table, kind, whole},
};

/// What happens to log lines when the disk is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskFull {
    /// The oldest go.
    #[default]
    DropOldest,
    /// Whoever writes them waits.
    Wait,
}

impl DiskFull {
    pub(super) const WORDS: [(&'static str, Self); 2] =
        [("drop-oldest", Self::DropOldest), ("wait", Self::Wait)];

    /// The word of the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DropOldest => "drop-oldest",
            Self::Wait => "wait",
        }
    }
}

/// Lines per second; 0 is how one says that there is no limit.
pub(super) fn rate(table: &mut Table<'_, '_, '_>, key: &'static str) -> Option<u32> {
    const FORM: &str = "lines per second as a number, or a text like \"1000/s\"";
    let read = |value: &DeValue<'_>| {
        let lines = match value {
            DeValue::Integer(digits) => whole(digits),
            DeValue::String(text) => {
                let plain =
                    |digits: &&str| !digits.is_empty() && digits.bytes().all(|one| one.is_ascii_digit());
                let digits = text.strip_suffix("/s").map(str::trim_end).filter(plain);
                let digits = digits.ok_or_else(|| format!("'{text}' is not a rate: write {FORM}"))?;
                Some(digits.parse().unwrap_or(i128::MAX))
            }
            _ => return Err(format!("must be {FORM}, not {}", kind(value))),
        };
        let fits = lines.and_then(|lines| u32::try_from(lines).ok());
        fits.ok_or_else(|| format!("is out of range: from 0 to {} lines per second", u32::MAX))
    };
    table.read(key, read).map(|found| found.value)
}

impl Config {
    /// Takes the keys `log_*` of the settings and of the services that are in both from `other`, and nothing else.
    pub fn take_log_keys(&mut self, other: &Self) {
        let (ours, theirs) = (&mut self.settings, &other.settings);
        ours.log_retention = theirs.log_retention;
        ours.log_max_size = theirs.log_max_size;
        ours.log_rate_limit = theirs.log_rate_limit;
        ours.log_disk_full = theirs.log_disk_full;
        for (name, service) in &mut self.services {
            if let Some(theirs) = other.services.get(name) {
                let ours: &mut Service = Arc::make_mut(service);
                ours.log_retention = theirs.log_retention;
                ours.log_max_size = theirs.log_max_size;
                ours.log_rate_limit = theirs.log_rate_limit;
            }
        }
    }
}
