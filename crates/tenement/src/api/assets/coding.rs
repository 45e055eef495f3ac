//! Which form of a file somebody wants: `Accept-Encoding` (RFC 9110 section 12.5.3).

use axum::http::{HeaderMap, header};

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Brotli,
    Gzip,
    /// Not at all.
    Identity,
}

/// What a coding is worth to a client, in thousandths.
type Weight = u16;

impl Coding {
    /// Of those that are worth the same the first is taken.
    const ALL: [Self; 3] = [Self::Brotli, Self::Gzip, Self::Identity];

    /// Its word in `Content-Encoding`.
    pub(super) fn word(self) -> Option<&'static str> {
        match self {
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
            Self::Identity => None,
        }
    }

    /// What tells the tags of a file's forms apart.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => "-br",
            Self::Gzip => "-gzip",
            Self::Identity => "",
        }
    }

    fn is(self, word: &str) -> bool {
        let is = |known: &str| word.eq_ignore_ascii_case(known);
        match self {
            Self::Brotli => is("br"),
            Self::Gzip => is("gzip") || is("x-gzip"),
            Self::Identity => is("identity"),
        }
    }

    /// The best one there is. Who wants none of them gets the file as it is, which is more use than none.
    pub(super) fn best(asked: &HeaderMap, there: impl Fn(Self) -> bool) -> Self {
        let values = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        let wanted: Vec<(&str, Weight)> =
            values.flat_map(|value| value.split(',')).filter_map(item).collect();
        let mut best = (Self::Identity, 0);
        for coding in Self::ALL.into_iter().filter(|&coding| there(coding)) {
            let named = wanted.iter().find(|(word, _)| coding.is(word));
            let any = || wanted.iter().find(|(word, _)| *word == "*");
            let weight = named.or_else(any).map_or(0, |(_, weight)| *weight);
            if weight > best.1 {
                best = (coding, weight);
            }
        }
        best.0
    }
}

/// `gzip;q=0.5`. What is not understood is not wanted.
fn item(text: &str) -> Option<(&str, Weight)> {
    let mut parts = text.split(';').map(str::trim);
    let word = parts.next().filter(|word| !word.is_empty())?;
    let weight = match parts.next() {
        None => 1000,
        Some(parameter) => {
            let value = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
            let value = value.and_then(|value| value.trim().parse::<f32>().ok());
            (value.filter(|value| (0.0..=1.0).contains(value)).unwrap_or(0.0) * 1000.0) as Weight
        }
    };
    Some((word, weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(values: &[&str], there: &[Coding]) -> Coding {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::ACCEPT_ENCODING, value.parse().unwrap());
        }
        Coding::best(&headers, |coding| there.contains(&coding))
    }

    #[test]
    fn the_best_form_is_taken_that_is_there_and_wanted() {
        use Coding::{Brotli, Gzip, Identity};
        let cases: [(&[&str], Coding); 18] = [
            (&[], Identity),
            (&[""], Identity),
            (&["gzip, deflate, br, zstd"], Brotli),
            (&["gzip"], Gzip),
            (&["gzip", "br"], Brotli),
            (&["GZIP ; q=1"], Gzip),
            (&["x-gzip"], Gzip),
            (&["br;q=0.5, gzip;q=0.8"], Gzip),
            (&["br;q=0, gzip"], Gzip),
            (&["br;q=0, gzip;q=0.0"], Identity),
            (&["*"], Brotli),
            (&["*;q=0.1, br;q=0"], Gzip),
            (&["identity, br;q=0.9"], Identity),
            (&["identity;q=0.5, gzip;q=0.5"], Gzip),
            (&["identity;q=0, *;q=0"], Identity),
            (&["br;q=nonsense, gzip;q=0.1"], Gzip),
            (&["br;q=7"], Identity),
            (&[",,;,deflate"], Identity),
        ];
        for (values, expected) in cases {
            assert_eq!(best(values, &Coding::ALL), expected, "{values:?}");
        }
        assert_eq!(best(&["br, gzip"], &[Gzip, Identity]), Gzip);
        assert_eq!(best(&["br, gzip"], &[Identity]), Identity);
    }
}
