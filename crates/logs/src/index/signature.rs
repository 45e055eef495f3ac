//! What cannot be in any word of a list.

const BITS: usize = 1 << 16;

/// The pairs and triples of bytes that stand in some word, hashed. Numbers and ids have few of those that words
/// are made of, so most words are known not to be among them without reading the list.
#[derive(Debug)]
pub(super) struct Signature(Vec<u8>);

impl Signature {
    pub(super) const LEN: usize = BITS / 8;

    pub(super) fn new() -> Self {
        Self(vec![0; Self::LEN])
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == Self::LEN).then(|| Self(bytes.to_vec()))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn add(&mut self, token: &[u8]) {
        for bit in grams(token) {
            self.0[bit / 8] |= 1 << (bit % 8);
        }
    }

    /// Whether a word may hold this text.
    pub(super) fn may_hold(&self, text: &[u8]) -> bool {
        grams(text).all(|bit| self.0[bit / 8] >> (bit % 8) & 1 == 1)
    }
}

fn grams(text: &[u8]) -> impl Iterator<Item = usize> {
    text.windows(2).chain(text.windows(3)).map(|gram| {
        let number = gram.iter().fold(1u32, |number, &byte| number << 8 | u32::from(byte));
        (number.wrapping_mul(0x9e37_79b1) >> 16) as usize
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_never_denied() {
        let mut signature = Signature::new();
        (0..10_000).for_each(|n| signature.add(format!("{n:07}").as_bytes()));
        assert!(signature.may_hold(b"0004711") && signature.may_hold(b"47") && signature.may_hold(b"7"));
        assert!(!signature.may_hold(b"request"));
        let again = Signature::from_bytes(signature.bytes()).unwrap();
        assert!(again.may_hold(b"0004711") && !again.may_hold(b"request"));
    }
}
