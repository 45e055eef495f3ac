use std::{fs, io::Write};

use rusqlite::Connection;

use super::*;

const RECORDS: usize = 300;
const TOKENS: usize = 40;

fn write(path: &Path, bytes: &[u8]) {
    fs::File::create(path).unwrap().write_all(bytes).unwrap();
}

/// A database with something in it, closed; its bytes.
fn filled(path: &Path) -> Vec<u8> {
    let store = Store::open(path).unwrap();
    let records: Vec<_> = (0..RECORDS).map(|n| record(&format!("a:{n}"))).collect();
    store.save_all(&records).unwrap();
    for n in 0..TOKENS {
        store.new_token(Wanted::admin(&format!("token {n}")), WallMillis(1)).unwrap();
    }
    drop(store);
    assert!(!path.with_file_name("state.db-wal").exists(), "closed in order");
    fs::read(path).unwrap()
}

fn counts(store: &Store) -> (usize, usize) {
    (store.records().unwrap().len(), store.tokens().len())
}

// faults: D5
#[test]
fn what_can_be_read_of_a_truncated_database_is_taken_over_and_the_rest_is_kept_aside() {
    let folder = folder();
    let path = folder.path().join("state.db");
    let whole = filled(&path);
    for length in [1, 99, 100, 4095, 4096, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        let folder = super::folder();
        let path = folder.path().join("state.db");
        write(&folder.path().join("seal_key"), b"sealed\n");
        write(&path, &whole[..length]);
        let store = Store::open(&path).unwrap();
        let loss = store.found().unwrap_or_else(|| panic!("{length} of {}", whole.len())).clone();
        let aside = loss.file.clone().unwrap();
        assert!(aside.to_str().unwrap().contains("state.db.corrupt-"), "{aside:?}");
        assert_eq!(fs::read(&aside).unwrap(), whole[..length], "untouched");
        let (records, tokens) = counts(&store);
        assert!(loss.what.contains(&format!("{records} instances taken over")), "{}", loss.what);
        assert!(loss.what.contains(&format!("{tokens} tokens taken over")), "{}", loss.what);
        store.save(&record("b:1")).unwrap();
        drop(store);
        let store = Store::open(&path).unwrap();
        assert_eq!((store.found(), counts(&store)), (None, (records + 1, tokens)));
        assert_eq!(store.losses(WallMillis(u64::MAX)).unwrap(), [loss], "told as long as the file is there");
        fs::remove_file(aside).unwrap();
        assert_eq!(store.losses(WallMillis(u64::MAX)).unwrap(), []);
    }
}

// faults: D5
#[test]
fn random_byte_flips_lose_nothing_that_can_still_be_read() {
    flip(7);
}

// faults: D5
#[test]
fn other_random_byte_flips_lose_nothing_that_can_still_be_read() {
    flip(8);
}

/// Twenty times, by chance.
fn flip(seed: u64) {
    let folder = folder();
    let whole = filled(&folder.path().join("state.db"));
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut damaged, mut kept) = (0, 0);
    for round in 0..20 {
        let folder = super::folder();
        let path = folder.path().join("state.db");
        write(&folder.path().join("seal_key"), b"sealed\n");
        let mut bytes = whole.clone();
        for _ in 0..random.usize(1..10) {
            // The first page is the one everything hangs on.
            let pages = if round % 4 == 0 { 0..4096 } else { 4096..bytes.len() };
            let at = random.usize(pages);
            bytes[at] ^= random.u8(1..);
        }
        write(&path, &bytes);
        let store = match Store::open(&path) {
            Ok(store) => store,
            Err(StoreError::Newer { .. }) => {
                assert_eq!(fs::read(&path).unwrap(), bytes, "left as it is");
                continue;
            }
            Err(error) => panic!("round {round}: {error}"),
        };
        let (records, tokens) = counts(&store);
        match store.found() {
            // What a flip made of a text that is still one nobody can know.
            None => assert_eq!((records, tokens), (RECORDS, TOKENS), "round {round}"),
            Some(loss) => {
                assert_eq!(fs::read(loss.file.as_ref().unwrap()).unwrap(), bytes);
                damaged += 1;
                kept += records;
            }
        }
        drop(store);
        assert_eq!(Store::open(&path).unwrap().found(), None);
    }
    assert!(
        damaged > 10 && kept > damaged * RECORDS / 10,
        "{damaged} were damaged, {kept} records were kept"
    );
}

// faults: D5
#[test]
fn an_empty_or_missing_database_is_not_silently_made_anew() {
    for (bytes, how) in [(Some(&b""[..]), "it is empty"), (None, "it is missing")] {
        let folder = folder();
        let path = folder.path().join("state.db");
        filled(&path);
        match bytes {
            Some(bytes) => write(&path, bytes),
            None => fs::remove_file(&path).unwrap(),
        }
        let store = Store::open(&path).unwrap();
        let loss = store.found().unwrap();
        assert!(loss.what.contains(how) && loss.what.contains("new API token"), "{}", loss.what);
        assert_eq!((loss.file.is_some(), counts(&store)), (bytes.is_some(), (0, 0)));
    }
    let folder = folder();
    let path = folder.path().join("state.db");
    write(&path, b"");
    assert_eq!(Store::open(&path).unwrap().found(), None, "the first start was killed");
}

/// The files of a database that is open, as a kill would leave them.
fn as_killed(path: &Path, to: &Path) {
    for end in ["", "-wal"] {
        let from = path.with_file_name(format!("state.db{end}"));
        fs::copy(from, to.with_file_name(format!("state.db{end}"))).unwrap();
    }
    write(&to.with_file_name("seal_key"), b"sealed\n");
}

// faults: D5
#[test]
fn a_wal_of_another_time_is_not_taken_for_its_own_and_one_that_is_gone_is_missed() {
    let (folder, other) = (folder(), folder());
    let (path, killed) = (folder.path().join("state.db"), other.path().join("state.db"));
    let store = Store::open(&path).unwrap();
    store.save(&record("a:1")).unwrap();
    as_killed(&path, &killed);
    let old_wal = fs::read(other.path().join("state.db-wal")).unwrap();
    assert_eq!(counts(&Store::open(&killed).unwrap()).0, 1, "what is in the -wal counts");
    // -shm is missing in all of these.
    as_killed(&path, &killed);
    fs::remove_file(other.path().join("state.db-wal")).unwrap();
    let without = Store::open(&killed).unwrap();
    let loss = without.found().unwrap();
    assert!(loss.what.contains("may be missing") && loss.what.contains("state.db-wal"), "{}", loss.what);
    drop(without);
    store.save(&record("a:2")).unwrap();
    drop(store);
    fs::copy(&path, &killed).unwrap();
    write(&other.path().join("state.db-wal"), &old_wal);
    let store = Store::open(&killed).unwrap();
    let loss = store.found().unwrap().clone();
    assert!(loss.what.contains("from an older time"), "{}", loss.what);
    assert_eq!(counts(&store).0, 2, "those of the file itself");
    let aside = format!("{}-wal", loss.file.unwrap().display());
    assert_eq!(fs::read(aside).unwrap(), old_wal);
}

// faults: D5 D10
#[test]
fn what_is_not_damaged_and_can_not_be_used_is_refused_and_left_as_it_is() {
    let folder = folder();
    let path = folder.path().join("state.db");
    filled(&path);
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let bytes = fs::read(&path).unwrap();
    let refused = |what: &str| {
        let error = Store::open(&path).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("state.db"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
        let others = fs::read_dir(folder.path()).unwrap().flatten();
        let others: Vec<_> = others.map(|file| file.file_name().into_string().unwrap()).collect();
        assert!(!others.iter().any(|name| name.contains("corrupt")), "{others:?}");
    };
    refused("newer tenement");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", schema::NEWEST).unwrap();
    let bytes = fs::read(&path).unwrap();
    let refused = |what: &str| {
        let error = Store::open(&path).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("state.db"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    };
    let other = Connection::open(&path).unwrap();
    other.pragma_update(None, "locking_mode", "EXCLUSIVE").unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    refused("locked by another program");
    drop(other);
    if rustix::process::geteuid().is_root() {
        let nobody = rustix::fs::Uid::from_raw(65534);
        rustix::fs::chown(&path, Some(nobody), None).unwrap();
        refused("belongs to uid 65534");
        rustix::fs::chown(&path, Some(rustix::process::geteuid()), None).unwrap();
    }
    assert_eq!(counts(&Store::open(&path).unwrap()), (RECORDS, TOKENS));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(Store::open(&path).unwrap_err().to_string().contains("it is no file"));
}
