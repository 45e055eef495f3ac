//! What stands on the disk, whatever somebody or a full disk does to it.

use super::*;

#[test]
fn whatever_stands_in_the_place_of_a_file_is_made_anew() {
    type Strange<'a> = (&'a str, &'a dyn Fn(&Path));
    let strange: [Strange; 8] = [
        ("empty", &|path| fs::write(path, "").unwrap()),
        ("noise", &|path| fs::write(path, [7; 70_000]).unwrap()),
        ("header only", &|path| fs::write(path, ring::HEADER).unwrap()),
        ("another version", &|path| {
            let mut header = ring::HEADER;
            header[16] += 1;
            fs::write(path, header).unwrap();
        }),
        ("gone", &|_| {}),
        ("a link", &|path| {
            fs::write(path.with_extension("target"), "theirs").unwrap();
            std::os::unix::fs::symlink(path.with_extension("target"), path).unwrap();
        }),
        ("a folder", &|path| fs::create_dir(path).unwrap()),
        ("a pipe", &|path| drop(tenement_runtime::output::fifo(path).unwrap())),
    ];
    for (what, make) in strange {
        let mut world = World::new();
        world.knows("a");
        world.runs("a", 7, 0, 5);
        (0..3).for_each(|_| world.tick());
        let path = world.path("a");
        fs::remove_file(&path).unwrap();
        make(&path);
        assert_eq!(world.hour("a"), [], "{what}");
        world.tick();
        assert_eq!(world.hour("a").len(), 1, "{what}");
        assert!(fs::metadata(&path).unwrap().len() <= FILE_SIZE, "{what}");
        let target = path.with_extension("target");
        assert!(!target.exists() || fs::read(target).unwrap() == b"theirs");
    }
}

#[test]
fn a_file_that_somebody_made_longer_is_cut_and_keeps_what_is_ours() {
    let mut world = World::new();
    world.knows("a");
    world.runs("a", 7, 0, 5);
    (0..3).for_each(|_| world.tick());
    File::options().write(true).open(world.path("a")).unwrap().set_len(10 << 20).unwrap();
    world.tick();
    assert_eq!(world.hour("a").len(), 4);
    assert_eq!(fs::metadata(world.path("a")).unwrap().len(), FILE_SIZE);
}

#[test]
fn a_folder_with_something_in_it_is_left_where_it_is() {
    let mut world = World::new();
    world.knows("a");
    world.runs("a", 7, 0, 5);
    fs::create_dir_all(world.path("a")).unwrap();
    fs::write(world.path("a").join("theirs"), "of a service that was called samples").unwrap();
    world.tick();
    assert!(world.path("a").join("theirs").exists());
    assert_eq!(world.hour("a"), []);
}

#[test]
fn what_can_t_be_written_is_a_gap_and_nothing_else() {
    let mut world = World::new();
    let slot = world.knows("a");
    fs::write(world.folder.path().join("samples"), "in the way").unwrap();
    world.runs("a", 7, 0, 5);
    requests(&slot, 10, 500);
    world.tick();
    assert_eq!(world.rings.latest(&name("a")).unwrap().sample.requests, 10);
    fs::remove_file(world.folder.path().join("samples")).unwrap();
    world.tick();
    assert_eq!(world.hour("a").len(), 1);
}

/// A disk of 64 KiB. Mounting one needs root; without it there is none.
struct Disk(std::path::PathBuf);

impl Disk {
    fn at(folder: &Path) -> Option<Self> {
        fs::create_dir(folder).unwrap();
        let options = ["-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs"];
        let mounted = std::process::Command::new("mount").args(options).arg(folder).status();
        if !mounted.is_ok_and(|status| status.success()) {
            eprintln!("skipped: no file system can be mounted here");
            return None;
        }
        Some(Self(folder.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

// faults: D4
#[test]
fn a_full_disk_costs_samples_until_there_is_room() {
    let mut world = World::new();
    let Some(disk) = Disk::at(&world.folder.path().join("samples")) else { return };
    let filler = disk.0.join("filler");
    world.knows("a");
    world.runs("a", 7, 0, 5);
    world.tick();
    while fs::File::options()
        .create(true)
        .append(true)
        .open(&filler)
        .and_then(|mut file| io::Write::write_all(&mut file, &[1; 4096]))
        .is_ok()
    {}
    world.knows("b");
    world.runs("b", 8, 0, 5);
    (0..40).for_each(|_| world.tick());
    assert_eq!(world.hour("b"), []);
    let spark = world.rings.latest(&name("b")).unwrap().sample;
    assert_eq!(spark.at, world.now - 10, "still in memory");
    fs::remove_file(filler).unwrap();
    let before = world.hour("a").len();
    (0..31).for_each(|_| world.tick());
    assert_eq!(world.hour("b").len(), 31);
    assert!(world.hour("a").len() >= before);
}

// faults: S11

#[test]
fn files_are_small_and_folders_are_the_daemons_alone() {
    let mut world = World::new();
    world.knows("a");
    world.runs("a", 7, 0, 5);
    for day in 0..8 {
        world.now = START + day * 86_400;
        (0..400).for_each(|_| world.tick());
    }
    let file = fs::metadata(world.path("a")).unwrap();
    assert!(file.len() <= FILE_SIZE && FILE_SIZE <= 64 << 10);
    let folder = fs::metadata(world.folder.path().join("samples")).unwrap();
    assert_eq!([&file, &folder].map(|found| found.permissions().mode() & 0o777), [0o600, 0o700]);
    let week = world.series("a", Range::Week);
    assert_eq!(week.len(), 2016);
    let days: BTreeSet<_> = week.iter().filter(|one| one.1.is_some()).map(|one| one.0 / 86_400).collect();
    assert!(days.len() >= 7, "{days:?}");
    assert!(week.windows(2).all(|pair| pair[1].0 - pair[0].0 == COARSE.step));
}

#[test]
fn files_of_whom_nobody_knows_are_removed_and_what_is_no_file_of_ours_is_left() {
    let mut world = World::new();
    for id in ["routed", "recorded", "unknown"] {
        world.knows(id);
        world.runs(id, 7, 0, 5);
    }
    world.tick();
    let foreign = world.path("foreign");
    fs::write(&foreign, "a tenant's, of a service that was called like this").unwrap();
    ["recorded", "unknown"].iter().for_each(|id| world.forgets(id));
    let store = Store::open(&world.folder.path().join("state.db")).unwrap();
    let record = Record {
        name: name("recorded"),
        env: Default::default(),
        desired: Desired::Up,
        created_at: WallMillis(0),
    };
    store.save(&record).unwrap();
    world.rings.tidy(&store);
    let left = ["routed", "recorded", "unknown", "foreign"].map(|id| world.path(id).exists());
    assert_eq!(left, [true, true, false, true]);
}
