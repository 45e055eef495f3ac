//! `ten top`: instances live.
//!
//! ```text
//!   looker (a thread): asks the daemon every second ──► Look ──┐
//!   terminal: keys ────────────────────────────────────────────┴─► View ──► picture
//! ```

mod picture;
mod view;

use std::{
    io::{self, IsTerminal},
    sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    time::Duration,
};

use clap::Args;
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyEventKind},
};
use serde_json::Value;
use view::{Column, View};

use super::{
    Failure, Global,
    client::{Client, Error},
};

const PATH: &str = "/api/instances?usage=true";
/// Between two looks at the instances.
const REFRESH: Duration = Duration::from_secs(1);
/// Between two looks at what the looker found.
const KEYS: Duration = Duration::from_millis(50);

#[derive(Args)]
#[command(after_help = "Examples:\n  ten top\n  ten top --sort memory\n\n\
    Keys: left and right (or < and >) choose the column to sort by, r turns the order round,\n\
    up, down, page up, page down, home and end move, q or Ctrl-C quits.\n\
    Without a terminal use 'ten ps' or 'ten ps -w'.")]
pub(super) struct Top {
    /// The column to sort by at first
    #[arg(long, value_name = "COLUMN", value_enum, default_value = "cpu")]
    sort: Column,
}

/// What the looker found.
type Look = Result<Value, Error>;

impl Top {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        if global.json {
            return Err(Failure::config("top is for people: use 'ten --json ps', or 'ten --json ps -w'"));
        }
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if dumb || !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(Failure::config(
                "top needs a terminal: use 'ten ps', or 'ten ps -w' to see it again and again",
            ));
        }
        let client = Client::new(global)?;
        // Before the screen changes, so that it stays for a plain refusal.
        let first = client.get(PATH)?;
        client.catch_every_signal();
        let (found, looks) = sync_channel(1);
        let looker = std::thread::Builder::new().name("looker".into());
        looker.spawn(move || look(&client, &found)).map_err(Failure::general)?;
        let mut view = View::new(self.sort, &first);
        // Also a panic gives the terminal back.
        let mut terminal = ratatui::try_init()?;
        let done = show(&mut terminal, &mut view, &looks, global.colours(&io::stdout()));
        ratatui::try_restore()?;
        done
    }
}

/// Until it is interrupted, or nobody is interested any more.
fn look(client: &Client, found: &SyncSender<Look>) {
    loop {
        let look = match client.pause(REFRESH) {
            Ok(()) => client.get(PATH),
            Err(error) => Err(error),
        };
        let interrupted = matches!(look, Err(Error::Interrupted(_)));
        if found.send(look).is_err() || interrupted {
            return;
        }
    }
}

fn show(
    terminal: &mut DefaultTerminal,
    view: &mut View,
    looks: &Receiver<Look>,
    colours: bool,
) -> Result<(), Failure> {
    loop {
        terminal.draw(|frame| picture::draw(frame, view, colours))?;
        // Draws again only when there is something new.
        loop {
            match looks.try_recv() {
                Ok(look) => {
                    if take(view, look)? {
                        return Ok(());
                    }
                    break;
                }
                // A panic there was told on the other screen, and the hook has left it.
                Err(TryRecvError::Disconnected) => {
                    return Err(Failure::general("top can't go on: start it again"));
                }
                Err(TryRecvError::Empty) => {}
            }
            if !event::poll(KEYS)? {
                continue;
            }
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => {
                    if view.press(key) {
                        return Ok(());
                    }
                }
                Event::Resize(..) => {}
                _ => continue,
            }
            break;
        }
    }
}

/// Whether that is the end.
fn take(view: &mut View, look: Look) -> Result<bool, Failure> {
    match look {
        Ok(list) => view.renew(&list),
        Err(Error::Interrupted(_)) => return Ok(true),
        // It may come back.
        Err(error) if error.may_pass() => view.trouble(error.to_string()),
        Err(Error::TimedOut(message)) => view.trouble(message),
        Err(error) => return Err(error.into()),
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_is_away_is_waited_for_and_one_that_refuses_is_not() {
        let mut view = View::new(Column::Cpu, &Value::Null);
        assert!(!take(&mut view, Err(Error::Unreachable("gone".into()))).unwrap());
        assert_eq!(view.note(), "gone");
        assert!(!take(&mut view, Ok(Value::Null)).unwrap());
        assert!(view.note().is_empty());
        assert!(take(&mut view, Err(Error::Interrupted("x".into()))).unwrap());
        let refused = take(&mut view, Err(Error::NotAllowed("no".into()))).unwrap_err();
        assert_eq!(refused.code.number(), 6);
    }
}
