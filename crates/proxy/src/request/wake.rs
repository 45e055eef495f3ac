//! Phase "wake": a lease on an instance that runs, waking it first if need be.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tenement_core::{
    name::InstanceName,
    route::ServiceRoutes,
    slot::{Lease, Refusal, RunId, Slot},
};
use tenement_runtime::clock;

use super::{Thread, answer::Answer, route::Target};

/// An instance may fall asleep again between being woken and being leased; not this often in a row.
const ROUNDS: usize = 8;
/// Bytes of a request that are told as what woke an instance.
const BY_MAX: usize = 200;
/// When to come back to an instance that has all the requests it takes.
const FULL: Duration = Duration::from_secs(1);

/// Since when a request waits for an instance to be woken, if it had to.
pub(super) type Waiting = Option<Instant>;

/// Method and path of a request that is about to wake an instance, from its head as it goes on. Without the query, where
/// secrets are, and cut off where it is long. Who finds the instance awake costs nothing.
pub(super) fn by(target: &Target, head: &[u8]) -> Option<String> {
    match target {
        Target::Instance(slot) if !slot.is_open() => {}
        Target::Service(service) if !service.is_awake() => {}
        Target::New(_) => {}
        _ => return None,
    }
    let line = head.split(|&byte| byte == b'\r').next()?;
    let line = line.rsplitn(2, |&byte| byte == b' ').nth(1)?;
    let path = line.split(|&byte| byte == b'?').next()?;
    let shown = String::from_utf8_lossy(&path[..path.len().min(BY_MAX)]).into_owned();
    Some(if path.len() > BY_MAX { format!("{shown}…") } else { shown })
}

/// Leases an instance for a request to `target`; not the run that `failed`.
pub(super) async fn lease(
    thread: &Thread,
    target: &Target,
    failed: Option<RunId>,
    waiting: &mut Waiting,
    by: Option<String>,
) -> Result<Option<Lease>, Answer> {
    match target {
        Target::Control => Ok(None),
        Target::Instance(slot) => instance(thread, Arc::clone(slot), failed, waiting, by).await.map(Some),
        Target::Service(service) => any(thread, service, failed, waiting, by).await.map(Some),
        Target::New(name) => unknown(thread, name, failed, waiting, by).await.map(Some),
    }
}

async fn instance(
    thread: &Thread,
    mut slot: Arc<Slot>,
    mut failed: Option<RunId>,
    waiting: &mut Waiting,
    mut by: Option<String>,
) -> Result<Lease, Answer> {
    for _ in 0..ROUNDS {
        match slot.lease() {
            Ok(lease) if Some(lease.upstream().run) != failed => return Ok(lease),
            Ok(_) | Err(Refusal::Closed) => {}
            Err(Refusal::Full) => {
                return Err(Answer::unavailable("this instance has as many requests as it takes", FULL));
            }
        }
        let name = slot.name().clone();
        waiting.get_or_insert_with(clock::instant);
        thread.backend.wake(name.clone(), failed.take(), by.take()).await.map_err(Answer::refused)?;
        // A new instance of this name may have taken its place.
        let routes = thread.backend.routes().load();
        slot = routes.slot(&name).cloned().ok_or_else(|| Answer::new(404, "there is no such instance"))?;
    }
    Err(Answer::unavailable("the instance does not stay awake", FULL))
}

/// The running instance with the fewest requests in flight; when none runs, the one used last that may be woken.
async fn any(
    thread: &Thread,
    service: &ServiceRoutes,
    failed: Option<RunId>,
    waiting: &mut Waiting,
    by: Option<String>,
) -> Result<Lease, Answer> {
    if let Some(slot) = service.least_busy() {
        return instance(thread, Arc::clone(slot), failed, waiting, by).await;
    }
    let mut slots: Vec<_> = service.slots().collect();
    slots.sort_by_key(|slot| (std::cmp::Reverse(slot.last_active()), slot.name().clone()));
    let mut refusal = Answer::new(404, "this service has no instances");
    for slot in slots {
        match instance(thread, Arc::clone(slot), failed, waiting, by.clone()).await {
            // Starting one after another in vain would take as long as there are instances.
            Err(answer) if !answer.tried && matches!(answer.status, 503 | 404) => refusal = answer,
            other => return other,
        }
    }
    Err(refusal)
}

async fn unknown(
    thread: &Thread,
    name: &InstanceName,
    failed: Option<RunId>,
    waiting: &mut Waiting,
    by: Option<String>,
) -> Result<Lease, Answer> {
    waiting.get_or_insert_with(clock::instant);
    thread.backend.wake(name.clone(), None, by).await.map_err(Answer::refused)?;
    let slot = thread.backend.routes().load().slot(name).cloned();
    let slot = slot.ok_or_else(|| Answer::new(404, "there is no such instance"))?;
    instance(thread, slot, failed, waiting, None).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_woke_an_instance_is_told_without_its_query() {
        let target = Target::New("api:a".parse().unwrap());
        let told = |head: &str| by(&target, head.as_bytes());
        assert_eq!(told("GET /a/b?token=secret HTTP/1.1\r\nHost: a\r\n\r\n").as_deref(), Some("GET /a/b"));
        assert_eq!(
            told(&format!("POST /{} HTTP/1.1\r\n", "x".repeat(1000))).unwrap().chars().count(),
            BY_MAX + 1
        );
        assert_eq!(by(&Target::Control, b"GET / HTTP/1.1\r\n"), None);
    }
}
