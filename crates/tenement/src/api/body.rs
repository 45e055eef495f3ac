//! Bodies of requests, whose faults are answered in the envelope like all others.
//!
//! ```text
//!   small ─────────────────────────────────────────────► handler
//!   larger than SMALL ─► its token's turn for a large one ─► handler, which keeps the turn as long as the bytes
//!     └── more than its route takes: 413    too slow: 408    no turn: 429
//! ```

use std::{collections::BTreeMap, fmt, marker::PhantomData, pin::pin, time::Duration};

use axum::{
    body::{self, Bytes, HttpBody},
    extract::{FromRequest, MatchedPath, Request},
    http::{HeaderValue, header, request::Parts},
};
use http_body_util::BodyExt;
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};

use tokio::time::{sleep, timeout};

use super::{ApiError, Caller, session};
use crate::store::{Held, Share};

/// Bytes that a body may have without waiting for a turn.
const SMALL: usize = 16 << 10;
/// How long a body may take in all, besides what its size takes at [`SLOWEST`]; and how long it waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a second, on the average.
const SLOWEST: u32 = 8 << 10;

/// Bytes that a body for a route has at most.
pub(super) fn most(route: &str) -> usize {
    match route {
        // Anybody may send it.
        session::PATH => 4 << 10,
        "/api/logs/search" => 64 << 10,
        // A configuration, an environment.
        "/api/config/file" | "/api/config/plan" | "/api/config/validate" | "/api/instances" => 1 << 20,
        _ => SMALL,
    }
}

/// What is wrong with one that has more.
pub(super) fn too_large(most: usize) -> String {
    match most >> 20 {
        0 => format!("The body is larger than {} KiB", most >> 10),
        mebibytes => format!("The body is larger than {mebibytes} MiB"),
    }
}

/// A body that was read before the handler's turn, in the extensions of its request.
#[derive(Clone)]
pub(super) struct Whole(pub(super) Bytes);

/// The whole body of a request.
pub(super) async fn whole(parts: &mut Parts, body: body::Body) -> Result<Bytes, ApiError> {
    if let Some(Whole(bytes)) = parts.extensions.remove() {
        return Ok(bytes);
    }
    let most = parts.extensions.get::<MatchedPath>().map_or(SMALL, |route| most(route.as_str()));
    let share = parts.extensions.get::<Caller>().map(|caller| caller.share().clone());
    read(body, most, share).await
}

/// Bytes that were read, and the turn they took, which ends with them.
struct Read(Vec<u8>, #[allow(dead_code)] Option<Held>);

impl AsRef<[u8]> for Read {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Of who has no share nothing large is read.
async fn read(mut body: body::Body, most: usize, share: Option<Share>) -> Result<Bytes, ApiError> {
    let refused = || ApiError::too_large(too_large(most));
    if body.size_hint().lower() > most as u64 {
        return Err(refused());
    }
    let (mut bytes, mut turn) = (Vec::new(), None);
    let mut late = pin!(sleep(PATIENCE));
    loop {
        let frame = tokio::select! {
            biased;
            () = &mut late => return Err(ApiError::timeout("The body did not come in time")),
            frame = body.frame() => frame,
        };
        let Some(frame) = frame else { return Ok(Bytes::from_owner(Read(bytes, turn))) };
        let frame = frame.map_err(|_| ApiError::bad_request("The body broke off"))?;
        // Copied: a piece would keep all of the buffer that it came in.
        let Ok(piece) = frame.into_data() else { continue };
        if bytes.len() + piece.len() > most {
            return Err(refused());
        }
        bytes.extend_from_slice(&piece);
        let deadline = late.deadline() + Duration::from_secs(piece.len() as u64) / SLOWEST;
        late.as_mut().reset(deadline);
        if bytes.len() > SMALL && turn.is_none() {
            let share = share.as_ref().ok_or_else(refused)?;
            turn = Some(timeout(PATIENCE, share.body()).await.map_err(|_| ApiError::too_many_bodies())?);
            // It was not the client that let it wait.
            late.set(sleep(PATIENCE));
        }
    }
}

/// The whole body.
pub(super) struct Body(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        if request.headers().contains_key(header::CONTENT_ENCODING) {
            return Err(ApiError::unsupported_media_type("The body must not be encoded: send it as it is"));
        }
        let (mut parts, body) = request.into_parts();
        whole(&mut parts, body).await.map(Self)
    }
}

/// The whole body, of which nothing says that it is something else than JSON.
pub(super) struct JsonBody(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        if kind.is_some_and(|kind| !is_json(kind)) {
            let message = "The body must be JSON, and its 'Content-Type' 'application/json'";
            return Err(ApiError::unsupported_media_type(message));
        }
        Body::from_request(request, state).await.map(|Body(body)| Self(body))
    }
}

fn is_json(kind: &HeaderValue) -> bool {
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
}

/// The members of an object. One that is there twice means two things, so it is refused.
pub(super) struct Object<V>(pub(super) BTreeMap<String, V>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Object<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(PhantomData))
    }
}

struct Members<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for Members<V> {
    type Value = Object<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Object<V>, A::Error> {
        let mut found = BTreeMap::new();
        while let Some((key, value)) = members.next_entry::<String, V>()? {
            if found.contains_key(&key) {
                return Err(de::Error::custom(format_args!("'{}' is there twice", key.escape_debug())));
            }
            found.insert(key, value);
        }
        Ok(Object(found))
    }
}

/// The members of a body that is a JSON object.
pub(super) fn object<'body, V: Deserialize<'body>>(
    body: &'body [u8],
) -> Result<BTreeMap<String, V>, ApiError> {
    let read = serde_json::from_slice::<Object<V>>(body);
    let object = read.map_err(|error| {
        let what = if error.is_data() { "not what is expected" } else { "not JSON" };
        ApiError::bad_request(format!("The body is {what}: {error}"))
    })?;
    Ok(object.0)
}

/// Refuses members that mean nothing here: a misspelt one would be ignored otherwise.
pub(super) fn only<V>(known: &[&str], body: &BTreeMap<String, V>) -> Result<(), ApiError> {
    match body.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(unknown) => {
            let (unknown, known) = (unknown.escape_debug(), known.join(", "));
            Err(ApiError::bad_request(format!("'{unknown}' is not known here: there are {known}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::post};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, split},
        net::UnixStream,
        task::JoinSet,
    };

    use super::*;
    use crate::api::{Trust, serve};

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_too_slowly_is_given_up_and_one_that_does_not_is_read() {
        let handler = async |JsonBody(body): JsonBody| format!("{} bytes", body.len());
        let router = Router::new().route(session::PATH, post(handler));
        for (pause, expected) in [(1000, r#""error":"timeout""#), (1, "4000 bytes")] {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let mut serving = JoinSet::new();
            serving.spawn(serve(theirs, router.clone(), Trust::Nobody));
            let (mut answer, mut request) = split(ours);
            let sending = async {
                let head = "POST /api/session HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
                request.write_all(format!("{head}Content-Length: 4000\r\n\r\n").as_bytes()).await.unwrap();
                for _ in 0..4000 {
                    sleep(Duration::from_millis(pause)).await;
                    if request.write_all(b"x").await.is_err() {
                        return;
                    }
                }
            };
            let mut answered = String::new();
            let (read, ()) = tokio::join!(answer.read_to_string(&mut answered), sending);
            assert!(read.is_ok() && answered.contains(expected), "{answered}");
            serving.join_next().await.unwrap().unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_of_a_token_wait_for_each_other_and_small_ones_for_none() {
        let share = Share::default();
        let read = |bytes, share: Option<&Share>| {
            super::read(body::Body::from(vec![b'x'; bytes]), 1 << 20, share.cloned())
        };
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(read(SMALL + 1, Some(&share)).await.unwrap());
        }
        assert_eq!(read(SMALL + 1, Some(&share)).await.unwrap_err().status().as_u16(), 429);
        assert_eq!(read(SMALL, Some(&share)).await.unwrap().len(), SMALL);
        held.pop();
        assert_eq!(read(1 << 20, Some(&share)).await.unwrap().len(), 1 << 20);
        assert_eq!(read(SMALL, None).await.unwrap().len(), SMALL);
        assert_eq!(read(SMALL + 1, None).await.unwrap_err().status().as_u16(), 413);
    }
}
