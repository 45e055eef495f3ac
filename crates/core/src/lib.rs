//! What should happen, as plain values and pure functions: names, configuration, the lifecycle of an
//! instance, routes, and the types that cross the wire.
//!
//! Nothing here does I/O, reads a clock, draws a random number or knows a runtime; time and randomness come
//! in as arguments. That is what lets the lifecycle be tested by simulation.

pub mod config;
pub mod histogram;
pub mod history;
pub mod layout;
pub mod lifecycle;
pub mod name;
pub mod route;
pub mod slot;
pub mod time;
pub mod view;
pub mod wake;
