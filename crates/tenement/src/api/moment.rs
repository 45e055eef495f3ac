//! Points in time as a query names them: `15m`, or RFC 3339.

use jiff::Timestamp;
use tenement_core::time::WallMillis;

use super::ApiError;

/// The point that `text`, the value of `key`, means at `now`: so long ago, or exactly then.
pub(super) fn parse(key: &str, text: &str, now: WallMillis) -> Result<WallMillis, ApiError> {
    let found = ago(text).map(|millis| WallMillis(now.0.saturating_sub(millis))).or_else(|| exact(text));
    found.ok_or_else(|| {
        ApiError::bad_request(format!(
            "'{key}' must be a time ago like 30s, 5m, 1h or 7d, or RFC 3339 like 2026-01-12T10:30:00Z"
        ))
    })
}

/// `since` and `until`.
pub(super) fn span(
    since: Option<&str>,
    until: Option<&str>,
    now: WallMillis,
) -> Result<(Option<WallMillis>, Option<WallMillis>), ApiError> {
    let moment = |key, text: Option<&str>| text.map(|text| parse(key, text, now)).transpose();
    Ok((moment("since", since)?, moment("until", until)?))
}

/// The milliseconds that `text`, the value of `key`, means: `30s`, `5m`, `1h`, `7d`.
pub(super) fn length(key: &str, text: &str) -> Result<u64, ApiError> {
    ago(text).filter(|&millis| millis > 0).ok_or_else(|| {
        ApiError::bad_request(format!("'{key}' must be a length of time like 30s, 5m, 1h or 7d"))
    })
}

fn ago(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // So long ago that it is before everything.
    Some(number.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(unit))
}

/// Only what RFC 3339 allows; the parser takes more.
fn exact(text: &str) -> Option<WallMillis> {
    let shape = |pattern: &[u8], text: &[u8]| {
        pattern.len() == text.len()
            && pattern.iter().zip(text).all(|(&wanted, &byte)| match wanted {
                b'0' => byte.is_ascii_digit(),
                b'T' => matches!(byte, b'T' | b't' | b' '),
                b'+' => matches!(byte, b'+' | b'-'),
                _ => byte == wanted,
            })
    };
    let (date_time, rest) = text.as_bytes().split_at_checked(b"0000-00-00T00:00:00".len())?;
    let fraction = rest
        .strip_prefix(b".")
        .map_or(0, |digits| 1 + digits.iter().take_while(|byte| byte.is_ascii_digit()).count());
    let zone = &rest[fraction..];
    let fits = shape(b"0000-00-00T00:00:00", date_time)
        && fraction != 1
        && (matches!(zone, b"Z" | b"z") || shape(b"+00:00", zone));
    let at = fits.then(|| text.parse::<Timestamp>().ok())??;
    // Before 1970 is before everything.
    Some(WallMillis(u64::try_from(at.as_millisecond()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallMillis = WallMillis(1_768_214_000_000);

    fn millis(text: &str) -> Option<u64> {
        parse("since", text, NOW).ok().map(|at| at.0)
    }

    #[test]
    fn a_time_ago_or_exactly() {
        let ago = |text| NOW.0 - millis(text).unwrap();
        assert_eq!(["30s", "5m", "1h", "7d", "0s"].map(ago), [30_000, 300_000, 3_600_000, 604_800_000, 0]);
        assert_eq!(millis("99999999999999999999d"), Some(0));
        assert_eq!(millis("2026-01-12T10:30:00Z"), Some(1_768_213_800_000));
        assert_eq!(millis("2026-01-12T12:30:00.250+02:00"), Some(1_768_213_800_250));
        assert_eq!(millis("2026-01-12t10:30:00.000000000z"), Some(1_768_213_800_000));
        assert_eq!(millis("1969-01-01T00:00:00Z"), Some(0));
    }

    // faults: A9
    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "s",
            "5",
            "-5m",
            "+5m",
            "5 m",
            "5M",
            "1.5h",
            "1w",
            "yesterday",
            "５m",
            "5é",
            "2026-01-12",
            "2026-01-12T10:30:00",
            "2026-01-12T10:30Z",
            "2026-01-12T10:30:00.Z",
            "2026-13-12T10:30:00Z",
            "2026-01-12T25:30:00Z",
            "2026-01-12T10:30:00+2",
            "2026-01-12T10:30:00 02:00",
            "2026-01-12T10:30:00Z[UTC]",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }
}
