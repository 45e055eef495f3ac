//! Another configuration, while instances run.

use std::{collections::BTreeMap, sync::Arc};

use tenement_core::{
    config::{Config, Service, template::Template},
    history::Cause,
    name::InstanceName,
    view::Status,
    wake::WakeRefusal,
};
use tenement_supervisor::{CommandError, Reconfigured, StopMode};

use crate::support::{Fixture, exists, settings};

fn name(id: &str) -> InstanceName {
    InstanceName::new("app", id).unwrap()
}

/// The fixture's configuration, adjusted.
fn config(fixture: &Fixture, declared: &[&str], adjust: impl FnOnce(&mut Service)) -> Arc<Config> {
    let mut settings = settings(fixture.folder.path());
    settings.max_starting = 1;
    let mut service = fixture.service();
    adjust(&mut service);
    let names = declared.iter().map(|id| name(id));
    Arc::new(Config {
        path: None,
        settings,
        instances: names.collect(),
        services: BTreeMap::from([(service.name.clone(), Arc::new(service))]),
    })
}

fn sockets(service: &mut Service, folder: &str) {
    service.socket = Template::parse(&format!("{{data_dir}}/{folder}/{{id}}.sock")).unwrap();
}

const ALL: [&str; 3] = ["a", "b", "c"];

#[tokio::test(flavor = "multi_thread")]
async fn restarts_take_turns_and_a_socket_that_moved_leaves_nothing() {
    let fixture = Fixture::new(&ALL, |service, settings| {
        sockets(service, "one");
        settings.max_starting = 1;
    });
    for id in ALL {
        fixture.until_status(&name(id), Status::Running).await;
    }
    let before = fixture.history.told().len();
    let changed = config(&fixture, &ALL, |service| sockets(service, "two"));
    let done = fixture.supervisor.reconfigure(Arc::clone(&changed), false).await.unwrap();
    let why = "configuration changed: socket".to_owned();
    assert_eq!(done.restarts, ALL.map(|id| (name(id), why.clone())));
    for id in ALL {
        let two = fixture.folder.path().join("two").join(format!("{id}.sock"));
        fixture.until(&name(id), "moved", |view| view.status == Status::Running && view.socket == two).await;
        assert!(!fixture.folder.path().join("one").join(format!("{id}.sock")).exists());
    }
    let told = fixture.history.told().split_off(before);
    let mut down = 0_i32;
    for one in &told {
        down += i32::from(one.from == Status::Running) - i32::from(one.to == Some(Status::Running));
        assert!(down <= 1, "one after another: {told:?}");
    }
    let restarts = told.iter().filter(|one| one.cause == Cause::Reload && one.reason.as_ref() == Some(&why));
    assert_eq!(restarts.count(), 3);
    let again = fixture.supervisor.reconfigure(changed, false).await.unwrap();
    assert_eq!(again, Reconfigured::default());
    fixture.supervisor.shutdown().await;
}

// faults: C10
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_comes_back_while_it_goes_has_its_instances_again() {
    let fixture = Fixture::new(&["a"], |service, _| sockets(service, "run"));
    fixture.until_status(&name("a"), Status::Running).await;
    let pid = fixture.view(&name("a")).await.pid.unwrap();
    let slot = Arc::clone(fixture.supervisor.routes().load().slot(&name("a")).unwrap());
    let lease = slot.lease().unwrap();
    let with = config(&fixture, &["a"], |service| sockets(service, "run"));
    let without =
        Arc::new(Config { services: BTreeMap::new(), instances: Vec::new(), ..Config::clone(&with) });
    let told = fixture.supervisor.reconfigure(Arc::clone(&without), true).await.unwrap();
    assert!(fixture.supervisor.routes().load().slot(&name("a")).is_some(), "a dry run changes nothing");
    assert_eq!(fixture.supervisor.reconfigure(Arc::clone(&without), false).await.unwrap(), told);
    assert_eq!(told.ends, [name("a")]);
    assert!(fixture.supervisor.routes().load().slot(&name("a")).is_none());
    assert_eq!(fixture.supervisor.wake(name("a"), None).await, Err(WakeRefusal::Unknown));
    assert!(matches!(
        fixture.supervisor.spawn(name("b"), None, true).await,
        Err(CommandError::UnknownService(_))
    ));
    fixture.supervisor.reconfigure(Arc::clone(&with), false).await.unwrap();
    let refused = fixture.supervisor.wake(name("a"), None).await;
    assert!(matches!(refused, Err(WakeRefusal::Unavailable { .. })), "{refused:?}");
    assert!(exists(pid), "a request is under way");
    drop(lease);
    fixture
        .until(&name("a"), "another", |view| {
            view.status == Status::Running && view.pid.is_some_and(|new| new != pid)
        })
        .await;
    assert!(!exists(pid));

    // Without its service it can still be erased as a whole.
    fixture.supervisor.reconfigure(without, false).await.unwrap();
    fixture.supervisor.stop(name("a"), StopMode::Purge).await.unwrap();
    assert!(fixture.registry.0.lock().unwrap().is_empty());
    assert!(!fixture.folder.path().join("app/a").exists());
    fixture.supervisor.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_one_that_runs_is_not_given_to_another() {
    let fixture = Fixture::new(&["a"], |service, settings| {
        service.socket = Template::literal(settings.data_dir.join("one.sock").to_string_lossy());
    });
    fixture.until_status(&name("a"), Status::Running).await;
    let mut other = fixture.service();
    other.name = "other".parse().unwrap();
    other.socket = Template::literal(fixture.folder.path().join("one.sock").to_string_lossy());
    let config = Arc::new(Config {
        path: None,
        settings: settings(fixture.folder.path()),
        instances: vec![InstanceName::new("other", "x").unwrap()],
        services: BTreeMap::from([(other.name.clone(), Arc::new(other))]),
    });
    let refused = fixture.supervisor.reconfigure(Arc::clone(&config), false).await;
    let Err(CommandError::Refused(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("'other:x' would get the socket of 'app:a', which still runs"), "{why}");
    assert_eq!(fixture.view(&name("a")).await.status, Status::Running);
    fixture.supervisor.stop(name("a"), StopMode::Keep).await.unwrap();
    let done = fixture.supervisor.reconfigure(config, false).await.unwrap();
    assert_eq!(done.starts, [InstanceName::new("other", "x").unwrap()]);
    fixture.until_status(&InstanceName::new("other", "x").unwrap(), Status::Running).await;
    fixture.supervisor.shutdown().await;
    let after = fixture.supervisor.reconfigure(self::config(&fixture, &[], |_| {}), false).await;
    assert_eq!(after, Err(CommandError::ShuttingDown));
}
