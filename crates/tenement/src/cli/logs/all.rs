//! All lines, however many.

use tenement_core::name::InstanceName;

use super::{Logs, Shown};
use crate::cli::{
    Failure,
    client::{Client, Error},
    output::print_bytes,
};

/// So many bytes are written at once.
const WRITE: usize = 64 << 10;

/// Oldest first, as they come. A connection that breaks is a failure: something is missing then.
pub(super) fn show(
    logs: &Logs,
    client: &Client,
    names: &[InstanceName],
    shown: Shown,
) -> Result<(), Failure> {
    let path = logs.question("/api/logs/export", names).into_path();
    let (mut out, mut any) = (Vec::new(), false);
    let ended = client.follow(&path, &mut false, |line| {
        if let Some(line) = &line {
            any = true;
            out.extend_from_slice(shown.render(line).as_bytes());
            out.push(b'\n');
        }
        if out.len() < WRITE {
            return Ok(());
        }
        let written = print_bytes(&out);
        out.clear();
        written
    });
    match ended {
        // What came is shown, however it ended.
        Ok(taken) => taken.and_then(|()| print_bytes(&out))?,
        Err(error) => {
            print_bytes(&out)?;
            return Err(match error {
                Error::Unreachable(_) if any => Error::Unreachable(
                    "lines are missing: the daemon ended before the last of them, or a log is damaged".into(),
                ),
                error => error,
            }
            .into());
        }
    }
    if any { Ok(()) } else { logs.check(client, names) }
}
