//! A number in 16 bits, for curves: 5 bits of exponent, 11 of mantissa. Exact up to 4095, above that 0.05 % off at most.

/// One in place of which there was nothing to measure.
const NONE: u16 = u16::MAX;
const MANTISSA: u32 = 11;
const LEADING: u64 = 1 << MANTISSA;

/// Rounded down; what is larger than the largest, 4.4 · 10¹², is the largest.
pub(super) fn pack(value: Option<u64>) -> u16 {
    let Some(value) = value else { return NONE };
    if value < LEADING {
        return value as u16;
    }
    let shift = value.ilog2() - MANTISSA;
    if shift + 1 > 31 {
        return NONE - 1;
    }
    let packed = ((shift + 1) << MANTISSA) as u16 | ((value >> shift) & (LEADING - 1)) as u16;
    packed.min(NONE - 1)
}

pub(super) fn unpack(packed: u16) -> Option<u64> {
    let (exponent, mantissa) = (packed >> MANTISSA, u64::from(packed) & (LEADING - 1));
    match (packed, exponent) {
        (NONE, _) => None,
        (_, 0) => Some(mantissa),
        _ => Some((LEADING | mantissa) << (exponent - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_packed_number_is_one_of_its_own_and_in_order() {
        let mut last = None;
        for packed in 0..=u16::MAX - 1 {
            let value = unpack(packed).unwrap();
            assert_eq!(pack(Some(value)), packed);
            assert!(last < Some(value), "{packed}");
            last = Some(value);
        }
        assert_eq!((pack(None), unpack(NONE)), (NONE, None));
        assert_eq!(unpack(pack(Some(u64::MAX))), last);
    }

    #[test]
    fn nothing_is_off_by_more_than_it_may_be() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..100_000 {
            let value = random.u64(..) >> random.u32(22..64);
            let found = unpack(pack(Some(value))).unwrap();
            assert!(found <= value && (value - found) * 2048 <= value, "{value} became {found}");
            assert!(value > 4095 || found == value);
        }
    }
}
