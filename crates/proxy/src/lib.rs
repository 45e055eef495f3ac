//! The data plane: from a client's connection to an instance and back.
//!
//! ```text
//!  listen ─► request: head ─► route ─► wake ─► connect ─► forward ─► answer
//!    │                 │                                    └─► upgrade (WebSocket)
//!    │ one thread      └── http: strict parsing, heads written anew
//!    ▼ per core
//!  no state is shared between threads but the route table and each slot's atomics
//!
//!  handover: connections between requests go to the process that takes this one's place
//! ```

mod backend;
mod config;
mod handover;
mod http;
mod io;
mod listen;
mod request;

pub use backend::{Backend, BoxFuture};
pub use config::{Config, Limits};
pub use handover::{Moved, Successor};
pub use listen::{BindError, Bound, Running};
