//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a request that is sent again has one effect, and
//! the same answer.
//!
//! ```text
//!   POST with a key ─► one at a time ─► answered before? ── yes ─► that answer; 422 if something else was asked
//!                                            no
//!                                            ▼
//!               carried out to its end, whether or not the client waits ─► answer kept 24 h ─► given
//! ```

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use tenement_runtime::clock;
use tokio::{runtime::Handle, sync::Mutex as AsyncMutex};

use super::{
    Api, ApiError, Caller,
    auth::bearer,
    blocking::blocking,
    body::{Whole, whole},
};
use crate::store::{Answer, AnswerKey};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer was given before.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const KEY_MAX: usize = 255;
const ANSWER_MAX: usize = 1 << 20;

/// Answers that the disk did not take and are kept in memory.
const WAITING_MAX: usize = 1000;

/// The keys that requests are being carried out with.
#[derive(Debug, Default)]
pub struct Repeated {
    turns: Mutex<HashMap<AnswerKey, Arc<AsyncMutex<()>>>>,
    /// Answers to requests that had their effect, and were refused because the answer could not be kept: whoever asks again
    /// must not have it twice.
    waiting: Mutex<HashMap<AnswerKey, Answer>>,
}

impl Repeated {
    fn turn(&self, key: AnswerKey) -> Arc<AsyncMutex<()>> {
        let mut all = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(all.entry(key).or_default())
    }

    fn wait(&self, key: AnswerKey, answer: Answer) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING_MAX {
            waiting.insert(key, answer);
        }
    }

    fn waiting(&self, key: &AnswerKey) -> Option<Answer> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn kept(&self, key: &AnswerKey) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// Has a request answered, by whoever answered it before.
pub(super) async fn answer(api: &Api, caller: &Caller, request: Request, next: Next) -> Response {
    if request.method() != Method::POST || !request.headers().contains_key(&KEY) {
        return next.run(request).await;
    }
    match keyed(api, caller, request, next).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn keyed(api: &Api, caller: &Caller, request: Request, next: Next) -> Result<Response, ApiError> {
    let key = key(api, caller, &request)?;
    let (mut parts, body) = request.into_parts();
    let body = whole(&mut parts, body).await?;
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let asked = Sha256::new().chain_update(parts.method.as_str()).chain_update([0]).chain_update(target);
    let asked = asked.chain_update([0]).chain_update(&body).finalize().into();
    parts.extensions.insert(Whole(body));
    let request = Request::from_parts(parts, Body::empty());
    let api = api.clone();
    // Goes on when the client does not wait: it would ask again otherwise, and find half of the work done.
    let work = Handle::current().spawn(async move { once(&api, key, asked, request, next).await });
    work.await.map_err(|error| ApiError::internal(&error))?
}

fn key(api: &Api, caller: &Caller, request: &Request) -> Result<AnswerKey, ApiError> {
    let refuse = || {
        let message =
            format!("'Idempotency-Key' must be one header of 1 to {KEY_MAX} visible ASCII characters");
        ApiError::bad_request(message)
    };
    let mut all = request.headers().get_all(&KEY).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return Err(refuse()) };
    let value = value.to_str().map_err(|_| refuse())?;
    if value.is_empty() || value.len() > KEY_MAX || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refuse());
    }
    let secret = bearer(request.headers()).unwrap_or_default();
    Ok(api.store.answer_key(&caller.actor().0, secret, value))
}

async fn once(
    api: &Api,
    key: AnswerKey,
    asked: [u8; 32],
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let turn = api.repeated.turn(key);
    let _turn = turn.lock().await;
    if let Some(known) = find(api, key).await? {
        if known.request != asked {
            let message = "This 'Idempotency-Key' was used for another request in the last 24 hours";
            return Err(ApiError::unprocessable(message));
        }
        return Ok(replay(known));
    }
    let response = next.run(request).await;
    // What failed for reasons of the daemon's own may well succeed the next time.
    if response.status().is_server_error() {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, ANSWER_MAX).await.map_err(|error| ApiError::internal(&error))?;
    let answer = Answer { request: asked, status: parts.status.as_u16(), body: body.to_vec() };
    api.repeated.wait(key, answer.clone());
    keep(api, key, answer).await?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

async fn keep(api: &Api, key: AnswerKey, answer: Answer) -> Result<(), ApiError> {
    let store = api.store.clone();
    blocking(move || store.keep_answer(&key, &answer, clock::wall())).await?;
    api.repeated.kept(&key);
    Ok(())
}

async fn find(api: &Api, key: AnswerKey) -> Result<Option<Answer>, ApiError> {
    if let Some(answer) = api.repeated.waiting(&key) {
        keep(api, key, answer.clone()).await?;
        return Ok(Some(answer));
    }
    let store = api.store.clone();
    blocking(move || store.answer(&key, clock::wall())).await
}

fn replay(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(Bytes::from(answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    if answer.status != 204 {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}
