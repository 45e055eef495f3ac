//! What an administrator may set, and the limits that hold for everybody.

use std::{net::SocketAddr, time::Duration};

use ipnet::IpNet;

/// How the data plane is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen. Port 0 takes any free port.
    pub listen: Vec<SocketAddr>,
    /// Threads, each with its own listeners; at least one is started.
    pub threads: usize,
    /// Peers whose `X-Forwarded-*` and `Forwarded` are believed and added to; everybody else's are replaced.
    pub trusted_proxies: Vec<IpNet>,
    /// What a client may ask of the proxy.
    pub limits: Limits,
}

/// Bounds on what clients and applications send. On by default; the defaults are documented numbers.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a head, request or response.
    pub head_bytes: usize,
    /// Header fields of a head.
    pub headers: usize,
    /// Bytes of a request target.
    pub target_bytes: usize,
    /// From the first byte of a request head to its last, however the bytes trickle in.
    pub head: Duration,
    /// A client connection without a request.
    pub idle: Duration,
    /// No byte of a request body came, or no byte of an answer was taken.
    pub stall: Duration,
    /// As `stall`, for an answer of the control plane: what waits to be sent is the daemon's own memory.
    pub control_stall: Duration,
    /// After a client has ended its side, or the application of its WebSocket has: without a byte of the answer, or
    /// until it ends. It may be gone; nothing else would ever tell.
    pub gone: Duration,
    /// Until an instance accepts a connection.
    pub connect: Duration,
    /// Until the head of an answer of the control plane; an instance's is in its configuration.
    pub control: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 64 << 10,
            headers: 100,
            target_bytes: 8 << 10,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            stall: Duration::from_secs(60),
            control_stall: Duration::from_secs(30),
            gone: Duration::from_secs(15),
            connect: Duration::from_secs(5),
            control: Duration::from_secs(120),
        }
    }
}
