//! `GET /`: the dashboard, a static shell that is part of the program. It holds no data and asks for a token.
//!
//! ```text
//!   build.rs: table of files, with their packed forms ─► a route for each ─► form by Accept-Encoding ─► 200, or 304
//! ```

mod coding;

use axum::{
    Router,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use self::coding::Coding;
use super::etag;

/// Nothing but what comes from here, and nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const INDEX: &str = "index.html";
const ICON: &str = "favicon.ico";
/// The build gives what is in there a name by its content.
const HASHED: &str = "assets/";
const FOR_EVER: &str = "public, max-age=31536000, immutable";
const ASK_FIRST: &str = "no-cache";

/// A file of the dashboard.
#[derive(Debug)]
struct File {
    /// With `/` between folders.
    name: &'static str,
    /// Another one where the content is another one.
    tag: &'static str,
    plain: &'static [u8],
    br: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

/// All of them.
static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/dashboard.rs"));

/// A route for each file. What is not there is answered as anywhere else.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let mut router = Router::new();
    for file in FILES {
        let answer = move |headers: HeaderMap| async move { file.answer(&headers) };
        router = router.route(&file.path(), get(answer));
    }
    if FILES.iter().any(|file| file.name == ICON) {
        return router;
    }
    // Browsers ask for one by themselves.
    router.route("/favicon.ico", get(|| async { (guards(), StatusCode::NO_CONTENT) }))
}

/// What a browser is to keep from the page, besides what holds for every answer.
fn guards() -> [(HeaderName, HeaderValue); 3] {
    [(header::CONTENT_SECURITY_POLICY, POLICY), (header::X_FRAME_OPTIONS, "DENY"), (OPENER, "same-origin")]
        .map(|(name, value)| (name, HeaderValue::from_static(value)))
}

impl File {
    fn path(&self) -> String {
        format!("/{}", if self.name == INDEX { "" } else { self.name })
    }

    fn form(&self, coding: Coding) -> Option<&'static [u8]> {
        match coding {
            Coding::Brotli => self.br,
            Coding::Gzip => self.gzip,
            Coding::Identity => Some(self.plain),
        }
    }

    fn answer(&self, asked: &HeaderMap) -> Response {
        let coding = Coding::best(asked, |coding| self.form(coding).is_some());
        let body = self.form(coding).unwrap_or(self.plain);
        // Each form is a representation of its own (RFC 9110 section 8.8.3.3).
        let tag = format!("\"{}{}\"", self.tag, coding.suffix());
        let known = etag::matches_weakly(asked, &tag);
        let mut response = match known {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => body.into_response(),
        };
        let headers = response.headers_mut();
        headers.extend(guards());
        let keep = if self.name.starts_with(HASHED) { FOR_EVER } else { ASK_FIRST };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if let Ok(tag) = HeaderValue::try_from(tag) {
            headers.insert(header::ETAG, tag);
        }
        if !known {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(self.name)));
            if let Some(word) = coding.word() {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(word));
            }
        }
        response
    }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests;
