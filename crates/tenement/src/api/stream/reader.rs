//! How somebody wants to read what goes on.

use std::convert::Infallible;

use axum::{
    extract::{
        FromRequestParts, WebSocketUpgrade,
        ws::{DefaultOnFailedUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, HeaderValue, Method, header, request::Parts},
};

use super::{body::Form, origin, page};
use crate::api::{Api, ApiError};

/// The largest message that is taken.
const MESSAGE_MAX: usize = 16 << 10;
/// What a WebSocket has for reading, in bytes; a message may be larger.
pub const READ_BUFFER: usize = 4 << 10;
/// What it has for writing.
pub const WRITE_BUFFER: usize = 16 << 10;

/// A handshake that is as it has to be.
pub(in crate::api) type Upgrade = WebSocketUpgrade<DefaultOnFailedUpgrade>;

/// What a request says of how it wants to be answered.
pub(in crate::api) struct Reader {
    headers: HeaderMap,
    /// `None`: it asks for none.
    upgrade: Option<Result<Upgrade, WebSocketUpgradeRejection>>,
}

impl<S: Send + Sync> FromRequestParts<S> for Reader {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let asks = parts.method == Method::GET && names(&parts.headers, header::UPGRADE, "websocket");
        let upgrade = if asks { Some(Upgrade::from_request_parts(parts, state).await) } else { None };
        Ok(Self { headers: parts.headers.clone(), upgrade })
    }
}

impl Reader {
    /// In which form it takes what goes on, where that is no WebSocket.
    pub(super) fn form(&self) -> Form {
        let lines = |parts: &[&str]| {
            parts[0].eq_ignore_ascii_case("application/x-ndjson")
                && parts[1..].iter().any(|part| part.eq_ignore_ascii_case("keep-alive=1"))
        };
        match names(&self.headers, header::ACCEPT, "text/event-stream") {
            true => Form::Events,
            false if any(&self.headers, header::ACCEPT, lines) => Form::LinesAlive,
            false => Form::Lines,
        }
    }

    /// Whether it is a page that takes lines over a WebSocket.
    pub(super) fn takes_lines(&self) -> bool {
        self.upgrade.is_some() && page::takes_lines(&self.headers)
    }

    /// Whether its answer is server-sent events.
    pub(in crate::api) fn has_events(&self) -> bool {
        self.upgrade.is_none() && self.form() == Form::Events
    }

    /// The last event it has seen, when it comes again.
    pub(in crate::api) fn last_event(&self) -> Option<&str> {
        self.headers.get("last-event-id")?.to_str().ok()
    }

    /// What it was asked with.
    pub(in crate::api) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The WebSocket it asks for, if it does.
    pub(in crate::api) fn socket(self, api: &Api) -> Result<Option<Upgrade>, ApiError> {
        let Some(upgrade) = self.upgrade else { return Ok(None) };
        if !origin::may(&self.headers, &api.about.config.load().settings) {
            return Err(ApiError::foreign_origin());
        }
        let one = |name| {
            let mut values = self.headers.get_all(name).iter();
            values.next().filter(|_| values.next().is_none())
        };
        if one(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Err(ApiError::upgrade_required("Version 13 of the WebSocket protocol is spoken here"));
        }
        if !one(header::SEC_WEBSOCKET_KEY).is_some_and(is_key) {
            let message = "'Sec-WebSocket-Key' must be one key of 16 bytes in base64";
            return Err(ApiError::bad_request(message));
        }
        match upgrade {
            Ok(upgrade) => Ok(Some(
                upgrade
                    .protocols([page::LINES])
                    .read_buffer_size(READ_BUFFER)
                    .write_buffer_size(WRITE_BUFFER)
                    .max_message_size(MESSAGE_MAX)
                    .max_frame_size(MESSAGE_MAX),
            )),
            Err(WebSocketUpgradeRejection::ConnectionNotUpgradable(_)) => {
                Err(ApiError::upgrade_required("This connection can't become a WebSocket"))
            }
            Err(rejection) => Err(ApiError::bad_request(rejection.to_string())),
        }
    }
}

/// Whether a list of words in a header has `word`, whatever stands behind a semicolon.
pub(super) fn names(headers: &HeaderMap, name: header::HeaderName, word: &str) -> bool {
    any(headers, name, |parts| {
        // A quality of 0 is a refusal (RFC 9110 section 12.4.2).
        let refused = |part: &&str| part.to_ascii_lowercase().strip_prefix("q=").is_some_and(is_zero);
        parts[0].eq_ignore_ascii_case(word) && !parts[1..].iter().any(refused)
    })
}

/// Whether there is one in a list in a header: its word first, then what stands behind semicolons.
fn any(headers: &HeaderMap, name: header::HeaderName, is: impl Fn(&[&str]) -> bool) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let mut words = values.flat_map(|value| value.split(','));
    words.any(|one| is(&one.split(';').map(str::trim).collect::<Vec<_>>()))
}

fn is_zero(quality: &str) -> bool {
    quality.parse::<f32>().is_ok_and(|quality| quality == 0.0)
}

/// 16 bytes in base64 (RFC 6455 section 4.1).
fn is_key(value: &HeaderValue) -> bool {
    let Some(digits) = value.as_bytes().strip_suffix(b"==") else { return false };
    digits.len() == 22
        && digits.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}
