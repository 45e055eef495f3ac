//! `tenement.toml`: from text to checked values, every error at once.

mod model;
pub mod testing;
pub mod template;

pub use model::*;
