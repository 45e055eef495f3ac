use std::{os::unix::fs::PermissionsExt, time::Duration};

use tenement_core::{
    config::{RestartPolicy, template::Template},
    history::{Actor, Cause},
    name::InstanceName,
    view::{Health, Status},
    wake::WakeRefusal,
};
use tenement_supervisor::{CommandError, StopMode};
use tokio::task::JoinSet;

use crate::support::{Fixture, exists, kill};

fn name(id: &str) -> InstanceName {
    InstanceName::new("app", id).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spawned_instance_runs_until_it_is_stopped_and_is_then_forgotten() {
    let fixture = Fixture::new(&[], |service, settings| {
        service.socket = Template::literal(settings.data_dir.join("a.sock").to_string_lossy());
    });
    let view = fixture.supervisor.spawn(name("a"), None, true).await.unwrap();
    assert_eq!(view.status, Status::Running);
    let pid = view.pid.unwrap();
    let data = fixture.folder.path().join("app/a");
    assert_eq!(data.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let again = fixture.supervisor.spawn(name("a"), None, true).await;
    assert!(matches!(again, Err(CommandError::Conflict { status: Status::Running, .. })));
    fixture.supervisor.stop(name("a"), StopMode::Forget).await.unwrap();
    assert!(!exists(pid));
    assert!(fixture.supervisor.get(&name("a")).await.is_err());
    assert!(fixture.registry.0.lock().unwrap().is_empty());
    assert_eq!(fixture.supervisor.wake(name("a"), None).await, Err(WakeRefusal::Unknown));
    assert!(data.exists(), "data stays unless the service says otherwise");
}

// faults: I16
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_requests_to_a_sleeping_instance_cause_one_start() {
    let fixture = Fixture::new(&["a"], |service, settings| {
        service.socket = Template::literal(settings.data_dir.join("a.sock").to_string_lossy());
        service.autostart = false;
    });
    assert_eq!(fixture.view(&name("a")).await.status, Status::Sleeping);
    let mut waiting = JoinSet::new();
    for _ in 0..100 {
        let supervisor = fixture.supervisor.clone();
        waiting.spawn(async move { supervisor.wake(name("a"), None).await });
    }
    while let Some(answer) = waiting.join_next().await {
        assert_eq!(answer.unwrap(), Ok(()));
    }
    assert_eq!(fixture.supervisor.totals().await.starts.values().sum::<u64>(), 1);
    fixture.supervisor.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_instance_sleeps_and_is_woken_again() {
    let fixture = Fixture::new(&["a"], |service, settings| {
        service.socket = Template::literal(settings.data_dir.join("a.sock").to_string_lossy());
        service.idle_timeout = Some(Duration::from_millis(100));
    });
    let lease = fixture.used(&name("a")).await;
    let routes = fixture.supervisor.routes().load_full();
    let slot = routes.slot(&name("a")).unwrap();
    let pid = fixture.view(&name("a")).await.pid.unwrap();
    drop(lease);
    fixture.until_status(&name("a"), Status::Sleeping).await;
    assert!(!exists(pid));
    assert!(slot.lease().is_err());
    drop(fixture.used(&name("a")).await);
    assert_eq!(fixture.view(&name("a")).await.restart_count, 0, "a wake is no restart");
    fixture.supervisor.shutdown().await;
}

// faults: I2
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_instance_comes_back_and_requests_wait_for_it() {
    let fixture = Fixture::new(&["a"], |service, settings| {
        service.socket = Template::literal(settings.data_dir.join("a.sock").to_string_lossy());
    });
    fixture.until_status(&name("a"), Status::Running).await;
    let before = fixture.view(&name("a")).await;
    let routes = fixture.supervisor.routes().load_full();
    let run = routes.slot(&name("a")).unwrap().lease().unwrap().upstream().run;
    kill(before.pid.unwrap());
    fixture.supervisor.wake(name("a"), Some(run)).await.unwrap();
    let after = fixture.view(&name("a")).await;
    assert_eq!((after.status, after.restart_count), (Status::Running, 1));
    assert_ne!(after.pid, before.pid);
    assert!(after.reason.unwrap().contains("SIGKILL"));
    fixture.supervisor.shutdown().await;
}

// faults: C7
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_command_is_named_and_does_not_loop() {
    let fixture = Fixture::new(&[], |service, settings| {
        service.socket = Template::literal(settings.data_dir.join("a.sock").to_string_lossy());
        service.command = vec![Template::literal("/no/such/program")];
    });
    let error = fixture.supervisor.spawn(name("a"), None, true).await.unwrap_err();
    let CommandError::StartFailed { reason, command_not_found, timed_out, .. } = error else {
        panic!("{error}")
    };
    assert!(command_not_found && !timed_out && reason.contains("/no/such/program"), "{reason}");
    assert_eq!(fixture.view(&name("a")).await.status, Status::Failed);
}

// faults: I1
#[tokio::test(flavor = "multi_thread")]
async fn one_that_never_listens_is_killed_and_its_last_lines_are_shown() {
    let fixture = Fixture::new(&[], |service, settings| {
        service.socket = Template::literal(settings.data_dir.join("a.sock").to_string_lossy());
        service.command = ["sleep", "1000"].map(Template::literal).to_vec();
        service.startup_timeout = Duration::from_millis(200);
    });
    let error = fixture.supervisor.spawn(name("a"), None, true).await.unwrap_err().to_string();
    assert!(error.contains("not ready within 0.2 s") && error.contains("its last words"), "{error}");
    let view = fixture.view(&name("a")).await;
    assert_eq!((view.status, view.pid), (Status::Failed, None));
}

// faults: I18
#[tokio::test(flavor = "multi_thread")]
async fn failing_checks_restart_it() {
    let fixture = Fixture::new(&["a"], |service, settings| {
        service.socket = Template::literal(settings.data_dir.join("a.sock").to_string_lossy());
        service.health = Some("/".into());
    });
    fixture
        .until(&name("a"), "healthy", |view| view.health == Health::Healthy && view.checks.passed > 0)
        .await;
    std::fs::write(fixture.folder.path().join("app/a/sick"), "").unwrap();
    fixture.until(&name("a"), "restarted", |view| view.restart_count > 0).await;
    fixture.until(&name("a"), "well again", |view| view.health == Health::Healthy).await;
    fixture.supervisor.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_instance_stays_stopped_for_requests() {
    let fixture = Fixture::new(&["a"], |service, settings| {
        service.socket = Template::literal(settings.data_dir.join("a.sock").to_string_lossy());
    });
    fixture.until_status(&name("a"), Status::Running).await;
    fixture.supervisor.stop(name("a"), StopMode::Keep).await.unwrap();
    assert_eq!(fixture.view(&name("a")).await.status, Status::Stopped);
    assert!(matches!(fixture.supervisor.wake(name("a"), None).await, Err(WakeRefusal::Unavailable { .. })));
    fixture.supervisor.restart(name("a")).await.unwrap();
    fixture.until_status(&name("a"), Status::Running).await;
    fixture.supervisor.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_request_keeps_it_awake() {
    let fixture = Fixture::new(&["a", "b"], |service, settings| {
        service.socket = Template::parse(&format!("{}/{{id}}.sock", settings.data_dir.display())).unwrap();
        service.idle_timeout = Some(Duration::from_millis(100));
        service.autostart = false;
    });
    let lease = fixture.used(&name("a")).await;
    // The other one, started later, shows that the idle time has passed for both.
    fixture.supervisor.wake(name("b"), None).await.unwrap();
    fixture.until_status(&name("b"), Status::Sleeping).await;
    assert_eq!(fixture.view(&name("a")).await.status, Status::Running);
    drop(lease);
    fixture.until_status(&name("a"), Status::Sleeping).await;
    fixture.supervisor.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_told_with_its_cause_and_who_asked() {
    let fixture = Fixture::new(&[], |service, settings| {
        service.socket = Template::literal(settings.data_dir.join("a.sock").to_string_lossy());
        service.restart = RestartPolicy::Never;
    });
    let alice = fixture.supervisor.by(Actor("alice".into()));
    let pid = alice.spawn(name("a"), None, true).await.unwrap().pid.unwrap();
    kill(pid);
    fixture.until_status(&name("a"), Status::Failed).await;
    fixture.supervisor.stop(name("a"), StopMode::Forget).await.unwrap();
    let told: Vec<_> = fixture
        .history
        .told()
        .into_iter()
        .map(|t| (t.from, t.to, t.cause, t.actor.map(|actor| actor.0), t.exit.and_then(|exit| exit.signal)))
        .collect();
    let alice = || Some("alice".to_owned());
    let expected = [
        (Status::Sleeping, Some(Status::Starting), Cause::Start, alice(), None),
        (Status::Starting, Some(Status::Running), Cause::Ready, None, None),
        (Status::Running, Some(Status::Stopping), Cause::Exit, None, Some(9)),
        (Status::Stopping, Some(Status::Failed), Cause::Gone, None, Some(9)),
        (Status::Failed, None, Cause::Stop, None, Some(9)),
    ];
    assert_eq!(told, expected);
    fixture.supervisor.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_first_for_one_that_was_there_from_the_start_is_told() {
    let fixture = Fixture::new(&["a"], |service, settings| {
        service.socket = Template::literal(settings.data_dir.join("a.sock").to_string_lossy());
    });
    fixture.until_status(&name("a"), Status::Running).await;
    fixture.supervisor.by(Actor("alice".into())).restart(name("a")).await.unwrap();
    let told = fixture.history.told();
    let restart = told.iter().find(|told| told.cause == Cause::Restart).unwrap();
    assert_eq!(restart.actor, Some(Actor("alice".into())));
    fixture.supervisor.shutdown().await;
}
