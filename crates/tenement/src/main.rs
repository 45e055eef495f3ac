//! `ten`: one process per tenant, woken by requests.

mod cli;
mod config_file;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
