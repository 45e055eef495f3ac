//! The only crate that touches the operating system: processes, cgroups, sockets, pipes, the clock.

pub mod clock;
mod event;
pub mod heap;
pub mod keeper;
pub mod limits;
pub mod listener;
pub mod machine;
pub mod output;
pub mod own;
pub mod port_owner;
pub mod ports;
pub mod process;
mod pulse;
pub mod readiness;
pub mod seldom;
mod sock_diag;
pub mod socket;
