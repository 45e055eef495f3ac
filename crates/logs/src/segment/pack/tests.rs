use std::{os::unix::fs::FileExt, process::Command};

use tenement_core::{slot::RunId, time::WallMillis};

use super::*;
use crate::segment::{
    Segment, SegmentView, data_path,
    mark::{Context, Header},
    marks_path, open_file,
    tally::tally,
};

/// A raw segment with this text, and how it is kept in memory.
fn raw(dir: &Path, text: &[u8]) -> Segment {
    let header = Header { context: Context::default(), begun: WallMillis(5), run: RunId(7) };
    let mut segment = Segment::new(0, header);
    let data = open_file(&data_path(dir, Stream::Stdout, 0), true).unwrap();
    data.write_all_at(text, 0).unwrap();
    open_file(&marks_path(dir, Stream::Stdout, 0), true).unwrap();
    segment.len = text.len() as u64;
    tally(&mut segment, &data, &mut 100, WallMillis(1000), &mut Vec::new()).unwrap();
    segment
}

fn view(dir: &Path, segment: &Segment) -> SegmentView {
    SegmentView::new(dir.into(), Stream::Stdout, segment.clone())
}

fn text() -> Vec<u8> {
    let mut text: Vec<u8> = (0..20_000).flat_map(|n| format!("line {n} of many\r\n").into_bytes()).collect();
    // One that is cut, and one after it.
    text.extend_from_slice(&[b'x'; 200_000]);
    text.extend_from_slice(b"\nlast\n");
    text
}

#[test]
fn every_byte_and_every_place_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let text = text();
    let segment = raw(dir.path(), &text);
    let packed = pack(view(dir.path(), &segment)).unwrap();
    assert!(packed.size < text.len() as u64 / 4);
    assert_eq!((packed.summary.len, packed.summary.end_seq), (text.len() as u64, 100 + 20_005));
    let pack = Pack::open(pack_path(dir.path(), Stream::Stdout, 0), None).unwrap();
    assert_eq!(pack.summary, packed.summary);
    assert_eq!(pack.text(0..text.len() as u32).unwrap(), text);
    assert_eq!(pack.text(70_000..70_100).unwrap(), &text[70_000..70_100]);
    assert_eq!(pack.text(0..text.len() as u32 + 1).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    let marks = pack.marks().unwrap();
    assert!(segment.unwritten.iter().all(|mark| marks.iter().any(|packed| packed.done == mark.done)));
    assert!(marks.windows(2).all(|pair| pair[0].seq < pair[1].seq && pair[0].done < pair[1].done));
    // Every frame begins with a block.
    assert!(pack.frames.iter().skip(1).all(|frame| marks.iter().any(|mark| mark.done == frame.start)));
}

/// What zstd's own program makes of it.
#[test]
#[allow(clippy::disallowed_methods, reason = "the program of others is what it is for")]
fn others_can_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let text = text();
    pack(view(dir.path(), &raw(dir.path(), &text))).unwrap();
    let file = pack_path(dir.path(), Stream::Stdout, 0);
    let shown = Command::new("zstd").arg("-dc").arg(&file).output().expect("zstd is there");
    assert!(shown.status.success());
    assert_eq!(shown.stdout, text);
}

// faults: G8
#[test]
fn damage_is_noticed_and_what_is_before_it_kept() {
    let dir = tempfile::tempdir().unwrap();
    let text = text();
    let segment = raw(dir.path(), &text);
    pack(view(dir.path(), &segment)).unwrap();
    let path = pack_path(dir.path(), Stream::Stdout, 0);
    let whole = std::fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(31) {
        let mut bad = whole.clone();
        bad[at] ^= 4;
        std::fs::File::create(&path).and_then(|mut file| io::Write::write_all(&mut file, &bad)).unwrap();
        if let Ok(pack) = Pack::open(path.clone(), None) {
            assert!(
                pack.marks().is_err() || pack.text(0..text.len() as u32).map_or(true, |read| read == text)
            );
        }
    }
    // A file that ends in the middle.
    std::fs::remove_file(data_path(dir.path(), Stream::Stdout, 0)).unwrap();
    let cut = &whole[..whole.len() / 2];
    std::fs::File::create(&path).and_then(|mut file| io::Write::write_all(&mut file, cut)).unwrap();
    let error = find(dir.path(), Stream::Stdout, 0).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    salvage(dir.path(), Stream::Stdout, 0, &error).unwrap();
    let kept = std::fs::read(data_path(dir.path(), Stream::Stdout, 0)).unwrap();
    assert!(kept.len() > 60_000 && kept.ends_with(b"\n") && text.starts_with(&kept));
}
