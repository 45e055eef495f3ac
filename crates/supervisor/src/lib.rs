//! Desired state to processes. One loop owns every instance's state.

mod api;

pub use api::*;
