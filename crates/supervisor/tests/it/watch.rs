use std::collections::BTreeMap;

use tenement_core::{
    config::template::Template,
    name::InstanceName,
    view::{Health, InstanceView, Status},
};
use tenement_supervisor::{StopMode, Watch};

use crate::support::Fixture;

/// What there is, as somebody has it who follows.
struct Follower {
    watch: Watch,
    views: BTreeMap<InstanceName, InstanceView>,
}

impl Follower {
    async fn of(fixture: &Fixture) -> Self {
        let (views, watch) = fixture.supervisor.watch().await.unwrap();
        Self { watch, views: views.into_iter().map(|view| (view.name.clone(), view)).collect() }
    }

    async fn take(&mut self) {
        for (name, view) in self.watch.take().await.unwrap() {
            match view {
                Some(view) => drop(self.views.insert(name, view)),
                None => drop(self.views.remove(&name)),
            }
        }
    }

    async fn until(&mut self, holds: impl Fn(&BTreeMap<InstanceName, InstanceView>) -> bool) {
        while !holds(&self.views) {
            self.watch.changed().await;
            self.take().await;
        }
    }
}

fn name(id: &str) -> InstanceName {
    InstanceName::new("app", id).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_hears_of_everything_a_list_would_show() {
    let fixture = Fixture::new(&["asleep"], |service, settings| {
        service.socket = Template::parse(&format!("{}/{{id}}.sock", settings.data_dir.display())).unwrap();
        service.autostart = false;
        service.health = Some("/".into());
    });
    let mut follower = Follower::of(&fixture).await;
    assert_eq!(follower.views[&name("asleep")].status, Status::Sleeping);
    assert!(follower.watch.take().await.unwrap().is_empty(), "nothing happened since");
    fixture.supervisor.wake(name("asleep"), None).await.unwrap();
    follower.until(|views| views[&name("asleep")].health == Health::Healthy).await;
    let woken = follower.views[&name("asleep")].woken.unwrap();
    assert!(woken.took_ms > 0 && woken.at <= tenement_runtime::clock::wall());
    let view = fixture.supervisor.spawn(name("a"), None, true).await.unwrap();
    assert_eq!(view.woken, None, "by hand");
    follower.until(|views| views.get(&name("a")).is_some_and(|view| view.status == Status::Running)).await;
    std::fs::write(fixture.folder.path().join("app/a/sick"), "").unwrap();
    follower.until(|views| views[&name("a")].health != Health::Healthy).await;
    fixture.supervisor.stop(name("a"), StopMode::Forget).await.unwrap();
    follower.until(|views| !views.contains_key(&name("a"))).await;
    fixture.supervisor.shutdown().await;
    follower.take().await;
    for view in fixture.supervisor.list().await {
        let seen = &follower.views[&view.name];
        let of = |view: &InstanceView| (view.status, view.health, view.pid, view.since, view.restart_count);
        assert_eq!(of(seen), of(&view));
    }
}
