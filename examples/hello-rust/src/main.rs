//! Says hello on the socket it is handed (`sd_listen_fds(3)`). Knows nothing of tenants.

use std::{
    env, io,
    os::{fd::FromRawFd, unix::net::UnixListener as StdListener},
};

use axum::{Router, routing::get};
use tokio::{
    net::UnixListener,
    signal::unix::{SignalKind, signal},
};

/// The first descriptor that is passed.
const FIRST: i32 = 3;

fn handed() -> io::Result<UnixListener> {
    let ours = env::var("LISTEN_PID").is_ok_and(|pid| pid == std::process::id().to_string());
    if !ours || !env::var("LISTEN_FDS").is_ok_and(|count| count == "1") {
        return Err(io::Error::other(
            "no socket was handed over: start this with activation = \"listen-fds\"",
        ));
    }
    // SAFETY: LISTEN_FDS = 1 with our own pid says that descriptor 3 is ours, and nobody else takes it.
    let listener = unsafe { StdListener::from_raw_fd(FIRST) };
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let name = env::var("TENEMENT_ID").unwrap_or_else(|_| "nobody".into());
    let hello = move || async move { format!("Hello, {name}!\n") };
    let app = Router::new().route("/", get(hello)).route("/health", get(|| async { "ok\n" }));
    let mut terminate = signal(SignalKind::terminate())?;
    let listener = handed()?;
    println!("ready");
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            terminate.recv().await;
        })
        .await
}
