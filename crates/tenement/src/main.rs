//! `ten`: one process per tenant, woken by requests.

use clap::Parser;

/// Runs one process per tenant, wakes it when a request comes, lets it sleep when none does.
#[derive(Parser)]
#[command(name = "ten", version)]
struct Cli {}

fn main() {
    let Cli {} = Cli::parse();
}
