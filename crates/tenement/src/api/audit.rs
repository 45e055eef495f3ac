//! Who changed what: every request that may change something is written down with its answer. `GET /api/audit`
//! shows it.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{FromRequestParts, Path, Request, State},
    http::{self, Extensions},
    response::Response,
};
use serde::{Deserialize, Serialize};
use tenement_core::name::InstanceName;
use tenement_runtime::clock;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Api, ApiError, Caller, Subject, Trust,
    blocking::blocking,
    idempotency::REPLAYED,
    instances::timestamp,
    moment,
    page::{Page, Pagination, Whole},
    query::{self, QueryOf},
};
use crate::{
    history::{Change, ChangeQuery, Changed},
    store::is_token_id,
};

const ENTRIES: usize = 50;
/// Ids of tokens follow it.
const TOKENS: &str = "/api/tokens/";

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A request that may change something, before it is carried out.
pub(super) struct Attempt(Change);

impl Attempt {
    pub(super) fn of(api: &Api, name: &str, caller: &Caller, request: &Request, words: &Words) -> Self {
        let local = request.extensions().get::<Trust>() == Some(&Trust::LocalAdministrator);
        let (instance, mut token) = named_by(words);
        let mut path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
        if token.as_deref().is_some_and(|word| !is_token_id(word)) {
            // Perhaps the text of a token, where its id belongs: nobody is to read it here.
            token = None;
            path.truncate(path.find(TOKENS).map_or(0, |at| at + TOKENS.len()));
            path.push('…');
        }
        Self(Change {
            at: clock::wall(),
            actor: caller.actor().0,
            root: caller.grant().map(|grant| grant.root.clone()),
            token_name: caller.grant().map(|grant| grant.name.clone()),
            source: (!local).then(|| api.source(request.headers()).to_string()),
            action: name.to_owned(),
            method: request.method().to_string(),
            path,
            instance,
            token,
            status: 0,
        })
    }

    /// Writes it down, unless it changed nothing because the answer was given before.
    pub(super) fn answered(self, api: &Api, response: &Response) {
        if response.headers().contains_key(REPLAYED) {
            return;
        }
        let mut change = self.0;
        change.at = clock::wall();
        change.status = response.status().as_u16();
        match response.extensions().get::<Subject>() {
            Some(Subject::Instance(name)) => change.instance = Some(name.to_string()),
            Some(Subject::Token(id)) => change.token = Some(id.clone()),
            None => {}
        }
        api.history.record(change);
    }
}

/// What a path has in the places of a route, decoded.
pub(super) type Words = BTreeMap<String, String>;

/// The words of the request these extensions are of.
pub(super) async fn words(extensions: Extensions) -> Words {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.extensions = extensions;
    let found = Path::<Words>::from_request_parts(&mut parts, &()).await;
    found.map(|Path(words)| words).unwrap_or_default()
}

/// The instance and the token that a path names, however it is written there.
fn named_by(words: &Words) -> (Option<String>, Option<String>) {
    match (words.get("service"), words.get("id")) {
        (Some(service), Some(id)) => {
            let name = InstanceName::new(service, id).map(|name| name.to_string());
            (Some(name.unwrap_or_else(|_| format!("{service}:{id}"))), None)
        }
        (None, Some(id)) => (None, Some(id.clone())),
        _ => (None, None),
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// By this actor only: `local` or a token's id.
    actor: Option<String>,
    /// Of this instance only: `service:id`.
    #[param(pattern = "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?:[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]
    instance: Option<String>,
    /// Of this kind only: an operation id of this description.
    action: Option<String>,
    /// Not before: `30s`, `5m`, `1h`, `7d` ago, or RFC 3339.
    #[param(pattern = "^[0-9]{1,9}[smhd]$")]
    since: Option<String>,
    /// Not after.
    #[param(pattern = "^[0-9]{1,9}[smhd]$")]
    until: Option<String>,
    /// The newest so many; 50 without it. Above 1000 it is 1000.
    #[param(inline, value_type = Option<Whole>)]
    limit: Option<String>,
    /// Skips so many of the newest.
    #[param(inline, value_type = Option<Whole>)]
    offset: Option<String>,
}

/// A request that changed something, or was to.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
struct Entry {
    /// Grows with every entry.
    id: u64,
    #[schema(format = DateTime)]
    timestamp: String,
    /// `local`, over the local socket, or a token's id.
    actor: String,
    /// What the token's owner calls it.
    token_name: Option<String>,
    /// From where; null over the local socket.
    source: Option<String>,
    /// What was asked for: an operation id of this description.
    action: String,
    method: String,
    path: String,
    /// The instance it was about.
    instance: Option<String>,
    /// The id of the token it was about.
    token: Option<String>,
    /// The status of the answer.
    status: u16,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AuditList)]
struct Entries {
    audit: Vec<Entry>,
    pagination: Pagination,
}

impl From<Changed> for Entry {
    fn from(Changed { seq, change }: Changed) -> Self {
        Self {
            id: seq,
            timestamp: timestamp(change.at),
            actor: change.actor,
            token_name: change.token_name,
            source: change.source,
            action: change.action,
            method: change.method,
            path: change.path,
            instance: change.instance,
            token: change.token,
            status: change.status,
        }
    }
}

/// Who changed what
///
/// The newest requests that may have changed something, in the order they were answered.
#[utoipa::path(
    get, path = "/api/audit", operation_id = "list_audit", tag = "history", params(AuditQuery),
    responses((status = 200, description = "A page of requests", body = Entries)),
    security(("bearer" = ["admin", "unbound"])),
)]
async fn list(
    State(api): State<Api>,
    QueryOf(request): QueryOf<AuditQuery>,
) -> Result<Json<Entries>, ApiError> {
    let page = Page::parse(request.limit.as_deref(), request.offset.as_deref())?;
    let (since, until) = moment::span(request.since.as_deref(), request.until.as_deref(), clock::wall())?;
    let limit = page.limit.unwrap_or(ENTRIES);
    let changes = ChangeQuery {
        actor: request.actor,
        // As it is written down, however it is typed.
        instance: query::instance(None, request.instance.as_deref())?.map(|name| name.to_string()),
        action: request.action,
        since,
        until,
        limit,
        offset: page.offset,
    };
    api.history.caught_up().await;
    let history = api.history.clone();
    let found = blocking(move || history.changes_made(&changes)).await?;
    let pagination = page.of(found.entries.len(), limit, found.total);
    Ok(Json(Entries { audit: found.entries.into_iter().map(Entry::from).collect(), pagination }))
}
