//! `tenement.toml`: from text to checked values, every error at once.

mod model;
pub mod template;
pub mod testing;

pub use model::*;
