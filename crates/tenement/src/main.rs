//! `ten`: one process per tenant, woken by requests.

mod cli;

use std::process::ExitCode;

use tenement::config_file;

fn main() -> ExitCode {
    cli::run()
}
