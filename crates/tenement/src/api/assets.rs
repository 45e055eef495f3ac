//! `GET /`: the dashboard's static shell. It holds no data and asks for a token.

use axum::{
    http::{HeaderName, StatusCode, header},
    response::IntoResponse,
};

/// Nothing but what comes from here, and nothing inline.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

fn asset(content_type: &'static str, body: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, body)
}

pub(super) async fn page() -> impl IntoResponse {
    asset("text/html; charset=utf-8", include_str!("../../assets/dashboard.html"))
}

pub(super) async fn script() -> impl IntoResponse {
    asset("text/javascript; charset=utf-8", include_str!("../../assets/dashboard.js"))
}

pub(super) async fn style() -> impl IntoResponse {
    asset("text/css; charset=utf-8", include_str!("../../assets/dashboard.css"))
}

/// Browsers ask for one by themselves.
pub(super) async fn no_icon() -> StatusCode {
    StatusCode::NO_CONTENT
}
