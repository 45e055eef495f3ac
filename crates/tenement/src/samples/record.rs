//! A sample in 24 bytes.
//!
//! ```text
//!   0      4          8        12       14    16    18    20     22      24      little endian; from 12 to 20
//!   │ time │ requests │ errors │ memory │ cpu │ p50 │ p95 │ span │ check │       numbers as in `short.rs`
//! ```
//!
//! The check is a CRC-16 of all that stands before it. Of a record that was torn or damaged it is wrong, but for one in
//! 65,536; where the damage is in two neighbouring bytes at most it always is. It is never right for zeros, so that a hole
//! in a file is no record.

use super::{sample::Sample, short};

/// The length of a record.
pub(super) const SIZE: usize = 24;
/// Where the check begins.
const CHECK: usize = SIZE - 2;

pub(super) type Record = [u8; SIZE];

pub(super) fn encode(sample: &Sample) -> Record {
    let mut record = [0; SIZE];
    let mut put = |at: usize, bytes: &[u8]| record[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &sample.at.to_le_bytes());
    put(4, &sample.requests.to_le_bytes());
    put(8, &sample.errors.to_le_bytes());
    for (at, value) in [(12, sample.memory), (14, sample.cpu), (16, sample.p50), (18, sample.p95)] {
        put(at, &short::pack(value).to_le_bytes());
    }
    put(20, &sample.span.to_le_bytes());
    let check = crc(&record[..CHECK]);
    record[CHECK..].copy_from_slice(&check.to_le_bytes());
    record
}

/// Nothing, if what stands there is no record, or not as it was written.
pub(super) fn decode(record: &[u8]) -> Option<Sample> {
    let record: &Record = record.try_into().ok()?;
    let half = |at: usize| u16::from_le_bytes([record[at], record[at + 1]]);
    let word = |at: usize| u32::from(half(at)) | u32::from(half(at + 2)) << 16;
    (half(CHECK) == crc(&record[..CHECK])).then(|| Sample {
        at: word(0),
        requests: word(4),
        errors: word(8),
        memory: short::unpack(half(12)),
        cpu: short::unpack(half(14)),
        p50: short::unpack(half(16)),
        p95: short::unpack(half(18)),
        span: half(20),
    })
}

/// CRC-16/IBM-3740: polynomial 0x1021, begins with 0xFFFF.
fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, &byte| (crc << 8) ^ REMAINDERS[usize::from((crc >> 8) as u8 ^ byte)])
}

/// What each byte leaves.
const REMAINDERS: [u16; 256] = {
    let mut all = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut left, mut bit) = ((byte as u16) << 8, 0);
        while bit < 8 {
            left = if left & 0x8000 == 0 { left << 1 } else { (left << 1) ^ 0x1021 };
            bit += 1;
        }
        all[byte] = left;
        byte += 1;
    }
    all
};

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One that comes back as it was.
    pub(in crate::samples) fn random(random: &mut fastrand::Rng, at: u32) -> Sample {
        let mut number = || {
            let value = random.u64(..) >> random.u32(24..64);
            short::unpack(short::pack(random.bool().then_some(value)))
        };
        let [memory, cpu, p50, p95] = std::array::from_fn(|_| number());
        let (span, requests, errors) = (random.u16(..), random.u32(..), random.u32(..));
        Sample { at, span, requests, errors, memory, cpu, p50, p95 }
    }

    #[test]
    fn the_check_is_the_known_one() {
        assert_eq!(crc(b"123456789"), 0x29B1);
    }

    #[test]
    fn a_record_comes_back_and_a_damaged_one_does_not() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..300 {
            let at = rng.u32(..);
            let sample = random(&mut rng, at);
            let record = encode(&sample);
            assert_eq!(decode(&record), Some(sample));
            for at in 0..SIZE {
                let mut damaged = record;
                damaged[at] ^= rng.u8(1..);
                assert_eq!(decode(&damaged), None, "byte {at}");
                // Torn: the rest is what was there before.
                let torn = [&record[..at], &[0; SIZE][at..]].concat();
                assert!(torn == record || decode(&torn).is_none(), "torn at {at}");
            }
        }
        assert_eq!(decode(&[0; SIZE]), None);
        assert_eq!(decode(&[0; SIZE - 1]), None);
    }
}
