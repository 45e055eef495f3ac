//! The store with real FIFOs and real writers.
#![allow(
    missing_docs,
    clippy::disallowed_methods,
    reason = "tests start processes and remove what they made"
)]

mod bounds;
mod damaged;
mod follow;
mod frugal;
mod full;
mod kept;
mod killed;
mod killed_at;
mod limits;
mod packed;
mod query;
mod rate;
mod resume;
mod shared;
mod support;
mod tenants;
