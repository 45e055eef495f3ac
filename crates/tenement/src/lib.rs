//! What the binary `ten` is made of: the state database, the HTTP API and the metrics.

pub mod api;
mod metrics;
pub mod store;
