//! What a page says with a handshake. Browsers let it set one header, `Sec-WebSocket-Protocol` (RFC 6455 section 11.3.4), so what
//! it has to say is among the subprotocols that it offers: in what form it takes what comes, and its token, which an
//! address would show to everybody on the way.

use axum::http::{HeaderMap, header};

use super::reader::names;

/// Several items in a message, as lines, and no more than a few messages that the page did not answer: a browser would take in
/// whatever comes, however much more that is than the page can show.
pub(super) const LINES: &str = "tenement.lines";
/// What stands before a token.
const BEARER: &str = "tenement.bearer.";

/// The token of a page that asks for a WebSocket. Two are none.
pub(in crate::api) fn token(headers: &HeaderMap) -> Option<&str> {
    if !names(headers, header::UPGRADE, "websocket") {
        return None;
    }
    let mut tokens = protocols(headers).filter_map(|offered| offered.strip_prefix(BEARER));
    tokens.next().filter(|_| tokens.next().is_none())
}

/// Whether it takes lines.
pub(super) fn takes_lines(headers: &HeaderMap) -> bool {
    protocols(headers).any(|offered| offered == LINES)
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_of_what_is_offered_for_a_websocket() {
        let said = |upgrade: Option<&'static str>, offered: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, offered.parse().unwrap());
            upgrade.map(|word| headers.insert(header::UPGRADE, word.parse().unwrap()));
            (token(&headers).map(str::to_owned), takes_lines(&headers))
        };
        let page = "tenement.lines, tenement.bearer.tenement_abc";
        assert_eq!(said(Some("websocket"), page), (Some("tenement_abc".to_owned()), true));
        assert_eq!(said(None, page).0, None, "a request like any other has a header for it");
        assert_eq!(said(Some("h2c"), page).0, None);
        assert_eq!(said(Some("websocket"), "tenement.bearer.a,tenement.bearer.b"), (None, false));
        assert_eq!(said(Some("websocket"), "chat"), (None, false));
    }
}
