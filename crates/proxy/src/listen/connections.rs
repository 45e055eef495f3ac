//! The connections of one thread, so that they can be ended.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use tokio::{sync::Notify, task::AbortHandle};

use crate::handover::{Phase, Tether};

/// A connection's task, and what is known of it.
type Open = (AbortHandle, Rc<Tether>);

/// Every open connection.
#[derive(Default)]
pub(super) struct Connections {
    last: Cell<u64>,
    open: RefCell<HashMap<u64, Open>>,
    emptied: Notify,
}

impl Connections {
    pub(super) fn next_key(&self) -> u64 {
        self.last.set(self.last.get() + 1);
        self.last.get()
    }

    pub(super) fn add(&self, key: u64, task: AbortHandle, tether: Rc<Tether>) {
        self.open.borrow_mut().insert(key, (task, tether));
    }

    pub(super) fn remove(&self, key: u64) {
        let mut open = self.open.borrow_mut();
        open.remove(&key);
        if open.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    /// Has each of them look at whether it is to be moved.
    pub(super) fn pull(&self) {
        for (_, tether) in self.open.borrow().values() {
            tether.pull();
        }
    }

    /// Ends those that wait for a request.
    pub(super) fn end_idle(&self) {
        self.end(|phase| phase == Phase::Idle);
    }

    /// Ends all of them, whatever they are in the midst of, but for tunnels.
    pub(super) fn end_all(&self) {
        self.end(|phase| phase != Phase::Tunnel);
    }

    fn end(&self, ends: impl Fn(Phase) -> bool) {
        for (task, tether) in self.open.borrow().values() {
            if ends(tether.phase.get()) {
                task.abort();
            }
        }
    }

    /// Returns when there are none.
    pub(super) async fn emptied(&self) {
        while !self.open.borrow().is_empty() {
            self.emptied.notified().await;
        }
    }
}
