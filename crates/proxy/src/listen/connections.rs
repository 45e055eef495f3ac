//! The connections of one thread, so that they can be ended.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use tokio::{sync::Notify, task::AbortHandle};

/// Whether a connection is in the midst of something.
pub(crate) type Idle = Rc<Cell<bool>>;

/// Every open connection.
#[derive(Debug, Default)]
pub(super) struct Connections {
    last: Cell<u64>,
    open: RefCell<HashMap<u64, (AbortHandle, Idle)>>,
    emptied: Notify,
}

impl Connections {
    pub(super) fn next_key(&self) -> u64 {
        self.last.set(self.last.get() + 1);
        self.last.get()
    }

    pub(super) fn add(&self, key: u64, task: AbortHandle, idle: Idle) {
        self.open.borrow_mut().insert(key, (task, idle));
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
        for (task, idle) in self.open.borrow().values() {
            if idle.get() {
                task.abort();
            }
        }
    }

    /// Ends all of them, whatever they are in the midst of.
    pub(super) fn end_all(&self) {
        for (task, _) in self.open.borrow().values() {
            task.abort();
        }
    }

    /// Returns when there are none.
    pub(super) async fn emptied(&self) {
        while !self.open.borrow().is_empty() {
            self.emptied.notified().await;
        }
    }
}
