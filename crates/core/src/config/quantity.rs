//! Durations and sizes as people write them.

use std::time::Duration;

/// The longest duration that is accepted: ten years.
pub(super) const DURATION_MAX: Duration = Duration::from_secs(10 * 366 * 86_400);

const DURATION_FORM: &str =
    "seconds as a number, or a text like \"500ms\", \"10s\", \"5m\", \"1h\" or \"7d\"";
const SIZE_FORM: &str = "bytes as a number, or a text like \"64K\", \"512M\" or \"2G\"";

/// A number and its unit: `"10s"` is `("10", "s")`.
fn cut(text: &str) -> (&str, &str) {
    let unit = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    (text[..unit].trim_end(), &text[unit..])
}

fn plain(number: &str) -> bool {
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Seconds, not negative and not endless.
pub(super) fn seconds(value: f64) -> Result<Duration, String> {
    match Duration::try_from_secs_f64(value) {
        Ok(duration) if duration <= DURATION_MAX => Ok(duration),
        _ => Err(format!("{value} s is out of range: from 0 to {} s", DURATION_MAX.as_secs())),
    }
}

/// A duration with its unit.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = cut(text);
    let factor = match unit {
        "ms" => 1e-3,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(format!("'{text}' is not a duration: write {DURATION_FORM}")),
    };
    match number.parse::<f64>() {
        Ok(value) if plain(number) => seconds(value * factor),
        _ => Err(format!("'{text}' is not a duration: write {DURATION_FORM}")),
    }
}

/// A size from a number of bytes, which is written so.
pub(super) fn bytes(value: i128, written: &str) -> Result<u64, String> {
    let size = u64::try_from(value).ok().filter(|&bytes| bytes <= 1 << 50);
    size.ok_or_else(|| format!("'{written}' is out of range: from 0 to 1024T"))
}

/// A size with its unit.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let refuse = || format!("'{text}' is not a size: write {SIZE_FORM}");
    let (number, unit) = cut(text);
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => return Err(refuse()),
    };
    if !plain(number) || number.contains('.') {
        return Err(refuse());
    }
    let value = number.parse::<u64>().map_or(i128::MAX, |value| i128::from(value) << shift);
    bytes(value, text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [("500ms", 500), ("10s", 10_000), ("5m", 300_000), ("1.5h", 5_400_000), ("7", 7000)]
        {
            assert_eq!(duration(text).unwrap().as_millis(), ms, "{text}");
        }
        assert_eq!(duration("7d").unwrap().as_secs(), 604_800);
    }

    // faults: C4
    #[test]
    fn what_is_no_quantity_is_refused_with_its_form_or_its_range() {
        for bad in ["-1", "1e400", "10XB", "", "s", "1 0s", "NaN", "inf", "１s"] {
            assert!(duration(bad).is_err(), "{bad}");
            assert!(size(bad).is_err(), "{bad}");
        }
        assert!(duration("99999999999999h").unwrap_err().contains("out of range"));
        assert!(size("99999999999T").unwrap_err().contains("out of range"));
        assert!(seconds(f64::NAN).is_err() && seconds(-1.0).is_err());
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("64K", 65_536), ("512M", 512 << 20), ("2G", 2 << 30), ("7", 7), ("1kb", 1024)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text in ".*") {
            let _ = (duration(&text), size(&text));
        }
    }
}
