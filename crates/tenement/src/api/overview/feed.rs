//! The live table for one reader.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use tenement_core::name::InstanceName;
use tenement_runtime::clock;
use utoipa::ToSchema;

use super::{
    board::Turn,
    live::{Seat, State},
    machine::{Machine, Sums},
    measured::spark,
    part::Part,
    row::Row,
};
use crate::api::{
    Api, ApiError, Caller,
    stream::{Feed, Item},
};

/// One thing to tell. `at` is in milliseconds since 1970.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
#[schema(as = OverviewMessage)]
pub(super) enum Message<'m> {
    /// A part of all rows there are, by service then id. Those of before count no more once the last part has come.
    Snapshot {
        at: u64,
        /// Another part follows.
        more: bool,
        instances: Vec<Row>,
    },
    /// What is not as it was told.
    Changes {
        at: u64,
        /// Whole rows, without `spark`.
        #[schema(value_type = Vec<Row>)]
        instances: Vec<Cow<'m, RawValue>>,
        /// Instances that are not known any more.
        #[schema(value_type = Vec<String>)]
        gone: Vec<&'m InstanceName>,
    },
    /// The machine, every 2 s.
    Machine {
        at: u64,
        #[serde(flatten)]
        machine: Machine,
    },
}

impl Message<'_> {
    fn item(&self) -> Item {
        Item { id: None, text: serde_json::to_string(self).unwrap_or_default().into() }
    }
}

/// Tells what the table has and the reader was not told. It reads for itself, when it can: nothing piles up.
pub(super) struct OverviewFeed {
    api: Api,
    caller: Caller,
    part: Part,
    seat: Seat,
    /// The last look at the machine that was told.
    looked: u64,
}

impl OverviewFeed {
    pub(super) fn new(api: &Api, caller: Caller, part: Part) -> Self {
        Self { api: api.clone(), caller, part, seat: api.overview.join(api), looked: 0 }
    }

    fn turn(&mut self) -> Vec<Item> {
        let reader = self.seat.reader;
        let mut state = self.seat.look();
        if state.machine.is_none() {
            return Vec::new();
        }
        let at = clock::wall().0;
        let mut items = Vec::new();
        if state.looked > self.looked {
            self.looked = state.looked;
            let machine = machine(&state, &self.caller, &self.part);
            items.extend(machine.map(|machine| Message::Machine { at, machine }.item()));
        }
        let turn = state.board.turn(reader, &self.part);
        items.extend(turn.map(|turn| match turn {
            Turn::Snapshot { rows, more } => {
                let row = |(name, line): (&InstanceName, &super::row::Line)| {
                    line.with_spark(spark(&self.api, name)).seen_by(&self.caller)
                };
                Message::Snapshot { at, more, instances: rows.into_iter().map(row).collect() }.item()
            }
            Turn::Changes { rows, gone } => {
                let instances = rows.into_iter().map(|(_, line)| line.seen_by(&self.caller)).collect();
                Message::Changes { at, instances, gone }.item()
            }
        }));
        items
    }
}

/// What of the machine a caller may know, with the sums of a part. `None`: the table is not filled yet.
pub(super) fn machine(state: &State, caller: &Caller, part: &Part) -> Option<Machine> {
    let machine = state.machine?;
    if part.is_all() {
        return Some(machine);
    }
    let host = machine.host.filter(|_| !caller.is_bound());
    Some(Machine { host, sums: Sums::of(state.board.rows(part).map(|(_, line)| line)) })
}

impl Feed for OverviewFeed {
    async fn next(&mut self) -> Result<Vec<Item>, ApiError> {
        loop {
            let items = self.turn();
            if !items.is_empty() {
                return Ok(items);
            }
            self.seat.rung().await?;
        }
    }
}
