use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;

/// What a frame consists of: first byte, whether masked, bytes of the length's form, payload.
fn encode(first: u8, masked: bool, form: usize, payload: usize) -> Vec<u8> {
    let flag = if masked { MASKED } else { 0 };
    let length = (payload as u64).to_be_bytes();
    let mut frame = vec![first];
    match form {
        0 => frame.push(flag | payload as u8),
        2 => frame.push(flag | 126),
        _ => frame.push(flag | 127),
    }
    frame.extend_from_slice(&length[8 - form..]);
    frame.resize(frame.len() + if masked { 4 } else { 0 } + payload, 0x88);
    frame
}

/// Any frame but a close frame, the longer forms of a length also where a shorter one would do.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let data = (prop_oneof![Just((0, 125)), Just((2, 3000)), Just((8, 70_000))], 0u8..16, 0u8..3);
    let data =
        (data, any::<bool>(), any::<Index>()).prop_map(|(((form, most), flags, opcode), masked, at)| {
            encode(flags << 4 | opcode, masked, form, at.index(most + 1))
        });
    let control = (9u8..11, any::<bool>(), 0usize..126)
        .prop_map(|(opcode, masked, payload)| encode(FINAL | opcode, masked, 0, payload));
    prop_oneof![data, control]
}

fn chunks<'b>(bytes: &'b [u8], cuts: &[Index]) -> Vec<&'b [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

fn after(bytes: &[u8]) -> Frames {
    let mut frames = Frames::default();
    frames.follow(bytes);
    frames
}

proptest! {
    /// At each cut it knows whether it is one between two frames.
    #[test]
    fn boundaries_are_found_however_the_bytes_are_cut(
        all in vec(any_frame(), 0..8),
        cuts in vec(any::<Index>(), 0..40),
    ) {
        let whole = all.concat();
        let boundaries: Vec<_> = all
            .iter()
            .scan(0, |at, frame| {
                *at += frame.len();
                Some(*at)
            })
            .chain([0])
            .collect();
        let (mut frames, mut at) = (Frames::default(), 0);
        for chunk in chunks(&whole, &cuts) {
            frames.follow(chunk);
            at += chunk.len();
            prop_assert_eq!(frames.takes_another(), boundaries.contains(&at), "{} of {:?}", at, &boundaries);
            prop_assert!(!frames.is_closing() && !frames.is_lost());
        }
    }

    #[test]
    fn a_close_frame_is_the_last(
        all in vec(any_frame(), 0..4),
        payload in 0usize..126,
        more in vec(any::<u8>(), 0..20),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let mut whole = all.concat();
        let begins = whole.len();
        whole.extend(encode(FINAL | CLOSE, false, 0, payload));
        whole.extend(more);
        let (mut frames, mut at) = (Frames::default(), 0);
        for chunk in chunks(&whole, &cuts) {
            frames.follow(chunk);
            at += chunk.len();
            prop_assert_eq!(frames.is_closing(), at > begins);
        }
    }

    /// Whatever comes: cuts change nothing, and nothing panics.
    #[test]
    fn any_bytes_mean_the_same_however_they_are_cut(
        bytes in vec(any::<u8>(), 0..300),
        cuts in vec(any::<Index>(), 0..40),
    ) {
        let mut frames = Frames::default();
        chunks(&bytes, &cuts).into_iter().for_each(|chunk| frames.follow(chunk));
        prop_assert_eq!(frames, after(&bytes));
    }
}

#[test]
fn what_is_not_the_protocol_is_given_up() {
    for bytes in [
        b"HTTP/1.1 200 OK\r\n\r\n".as_slice(),
        &[FINAL | 3, 0],
        &[CLOSE, 0],
        &[FINAL | 0xb, 0],
        &[FINAL | 9, 126, 0, 126],
        &[FINAL | 2, 127, 0x80, 0, 0, 0, 0, 0, 0, 0],
    ] {
        let lost = after(bytes);
        assert!(lost.is_lost() && !lost.takes_another() && !lost.is_closing(), "{bytes:x?}");
        let mut more = lost;
        more.follow(&[FINAL | CLOSE, 0]);
        assert_eq!(more, lost);
    }
}

#[test]
fn the_longest_frame_is_followed() {
    let mut frames = after(&[FINAL | 2, MASKED | 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    frames.follow(&[FINAL | CLOSE; 1000]);
    assert!(!frames.takes_another() && !frames.is_closing() && !frames.is_lost());
}

#[test]
fn what_is_said_at_the_end_is_a_close_frame() {
    assert_eq!(Code::Away.frame(), [0x88, 2, 0x03, 0xe9]);
    assert_eq!(Code::Restart.frame(), [0x88, 2, 0x03, 0xf4]);
    assert!(after(&Code::Away.frame()).is_closing());
}
