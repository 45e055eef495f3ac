//! Tells who follows that there may be lines. Nothing is queued: a bell that rings already is not rung twice, so
//! that a reader who never comes costs whoever writes nothing.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use tenement_core::name::{InstanceName, ServiceName};
use tokio::sync::Notify;

use crate::query::LogQuery;

/// Rings when there may be lines for one [`super::Follower`].
#[derive(Debug, Default)]
pub struct Bell {
    notify: Notify,
    crowd: AtomicUsize,
}

impl Bell {
    /// Rings it; once more has no effect until somebody has heard it.
    pub fn ring(&self) {
        self.notify.notify_one();
    }

    /// Waits until it has rung since it was last heard.
    pub async fn rung(&self) {
        self.notify.notified().await;
    }

    /// How many rang with it when it last rang, itself included.
    #[must_use]
    pub fn crowd(&self) -> usize {
        self.crowd.load(Ordering::Relaxed)
    }
}

/// Whose lines a bell rings for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    All,
    Service(ServiceName),
    Instance(InstanceName),
}

impl Key {
    fn of(query: &LogQuery) -> Vec<Self> {
        let (service, instance) = query.narrowest();
        match (instance, service) {
            (Some(instance), _) => vec![Self::Instance(instance.clone())],
            (None, _) if !query.instances.is_empty() => {
                query.instances.iter().cloned().map(Self::Instance).collect()
            }
            (None, Some(service)) => vec![Self::Service(service.clone())],
            (None, None) => vec![Self::All],
        }
    }
}

type Hung = BTreeMap<Key, Vec<Weak<Bell>>>;

/// The bells of all followers.
#[derive(Debug, Default)]
pub(crate) struct Bells(Mutex<Hung>);

impl Bells {
    fn lock(&self) -> MutexGuard<'_, Hung> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rings `bell` from now on for what `query` is about, and for nothing else.
    pub(crate) fn hang(&self, bell: &Arc<Bell>, query: &LogQuery) {
        let mut bells = self.lock();
        take_down(&mut bells, bell);
        for key in Key::of(query) {
            bells.entry(key).or_default().push(Arc::downgrade(bell));
        }
    }

    /// Forgets a bell.
    pub(crate) fn take_down(&self, bell: &Arc<Bell>) {
        take_down(&mut self.lock(), bell);
    }

    /// How many ring for this instance.
    pub(crate) fn followers(&self, name: &InstanceName) -> usize {
        let bells = self.lock();
        of(&bells, name).map(Vec::len).sum()
    }

    /// There may be lines of this instance.
    pub(crate) fn ring(&self, name: &InstanceName) {
        let bells = self.lock();
        let crowd = of(&bells, name).map(Vec::len).sum();
        of(&bells, name).flatten().filter_map(Weak::upgrade).for_each(|bell| {
            bell.crowd.store(crowd, Ordering::Relaxed);
            bell.ring();
        });
    }
}

/// Those that ring for an instance.
fn of<'a>(bells: &'a Hung, name: &InstanceName) -> impl Iterator<Item = &'a Vec<Weak<Bell>>> {
    let keys = match bells.is_empty() {
        true => None,
        false => Some([Key::All, Key::Service(name.service.clone()), Key::Instance(name.clone())]),
    };
    keys.into_iter().flatten().filter_map(|key| bells.get(&key))
}

fn take_down(bells: &mut Hung, bell: &Arc<Bell>) {
    bells.retain(|_, hung| {
        hung.retain(|other| !std::ptr::eq(other.as_ptr(), Arc::as_ptr(bell)));
        !hung.is_empty()
    });
}
