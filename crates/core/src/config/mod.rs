//! `tenement.toml`: from text to checked values, every error at once.

mod change;
mod diagnostic;
mod effective;
mod instances;
mod log_sink;
mod logs;
mod model;
mod parse;
mod quantity;
mod service;
mod settings;
mod table;
pub mod template;
pub mod testing;

pub use change::{Changed, ChangedService, Plan, Takes, launch_text, needs_restart};
pub use diagnostic::{Diagnostic, Severity};
pub use effective::{Effective, ServiceView, effective, effective_service, masked};
pub use instances::{SOCKET_PATH_MAX, same_socket};
pub use log_sink::{FileFormat, LogSink, SinkFrom, SinkKind, SyslogAddress, facility_word};
pub use logs::DiskFull;
pub use model::*;
pub use parse::{Parsed, Source, parse};
pub use service::check_variable;
pub use settings::{parse_domain, parse_origin};

#[cfg(test)]
mod documented;
#[cfg(test)]
mod tests;
