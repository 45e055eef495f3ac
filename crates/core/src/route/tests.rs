use super::*;
use crate::config::testing::service;

fn table() -> RouteTable {
    let mut table = RouteTable::new("example.com");
    let notes = Arc::new(service("notes"));
    let slot = Arc::new(Slot::new("notes:alice".parse().unwrap(), Arc::clone(&notes)));
    table.set_service(notes, [slot]);
    table
}

#[test]
fn names_below_the_domain() {
    let table = table();
    assert!(
        matches!(table.resolve("alice.notes.example.com"), Route::Instance(s) if s.name().id.as_str() == "alice")
    );
    assert!(matches!(table.resolve("notes.example.com"), Route::Service(_)));
    assert!(
        matches!(table.resolve("bob.notes.example.com"), Route::UnknownInstance { name, .. } if name.to_string() == "notes:bob")
    );
    assert!(matches!(table.resolve("other.example.com"), Route::UnknownService));
    assert!(matches!(table.resolve("x.alice.notes.example.com"), Route::UnknownService));
}

// faults: P7 A13
#[test]
fn only_the_daemons_own_names_reach_the_control_plane() {
    let table = table();
    for own in ["example.com", "localhost", "127.0.0.1", "[::1]"] {
        assert!(matches!(table.resolve(own), Route::Control), "{own}");
    }
    for foreign in ["evil.com", "alice.notes.example.com.evil.com", "notexample.com", ""] {
        assert!(matches!(table.resolve(foreign), Route::Foreign), "{foreign}");
    }
}

// faults: P7
#[test]
fn labels_that_are_no_ids_are_unknown() {
    let table = table();
    for bad in ["_x.notes.example.com", "-.notes.example.com", ".notes.example.com", "a%2e.notes.example.com"]
    {
        assert!(matches!(table.resolve(bad), Route::UnknownService), "{bad}");
    }
}
