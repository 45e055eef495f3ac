//! The connections of one thread, so that they can be ended.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use tokio::{sync::Notify, task::AbortHandle};

use crate::request::Phase;

/// A connection's task, and what it is in the midst of.
type Open = (AbortHandle, Rc<Cell<Phase>>);

/// Every open connection.
#[derive(Debug, Default)]
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

    pub(super) fn add(&self, key: u64, task: AbortHandle, phase: Rc<Cell<Phase>>) {
        self.open.borrow_mut().insert(key, (task, phase));
    }

    pub(super) fn remove(&self, key: u64) {
        let mut open = self.open.borrow_mut();
        open.remove(&key);
        if open.is_empty() {
            self.emptied.notify_waiters();
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
        for (task, phase) in self.open.borrow().values() {
            if ends(phase.get()) {
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
