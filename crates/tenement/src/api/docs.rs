//! The description as it is served: for programs, and rendered for people.

use std::sync::Arc;

use axum::{
    Router,
    extract::Path,
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, serve};

use super::describe;

/// The renderer sets styles at run time and shows pictures from `data:`; scripts come from here only.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'";

/// Needs no token: there is nothing in it but what every copy of this program says.
pub(super) fn router<S: Clone + Send + Sync + 'static>(description: &OpenApi) -> Router<S> {
    let text: Arc<str> = serde_json::to_string_pretty(description).unwrap_or_default().into();
    let config = Arc::new(Config::from(describe::PATH).validator_url("none").persist_authorization(false));
    let json = move || async move { ([(header::CONTENT_TYPE, "application/json")], text.to_string()) };
    let page = move |path: Option<Path<String>>| async move {
        let path = path.map_or_else(String::new, |Path(path)| path);
        asset(&path, config)
    };
    Router::new()
        .route(describe::PATH, get(json))
        .route("/api/docs", get(|| async { Redirect::permanent("/api/docs/") }))
        .route("/api/docs/", get(page.clone()))
        .route("/api/docs/{*path}", get(page))
}

fn asset(path: &str, config: Arc<Config<'static>>) -> Response {
    match serve(path, config) {
        Ok(Some(file)) => {
            let headers: [(HeaderName, String); 2] = [
                (header::CONTENT_TYPE, file.content_type),
                (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
            ];
            (headers, file.bytes.into_owned()).into_response()
        }
        Ok(None) => super::ApiError::no_route().into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
