//! Who changed what: every request that may change something is written down with its answer. `GET /api/audit`
//! shows it.

use axum::{
    Json,
    extract::{Request, State},
    http::Method,
    response::Response,
};
use serde::{Deserialize, Serialize};
use tenement_runtime::clock;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Api, ApiError, Caller, Subject, Trust,
    access::{Access, Demand},
    blocking::blocking,
    instances::timestamp,
    moment,
    page::{Page, Pagination, Whole},
    query::QueryOf,
};
use crate::{
    history::{Change, ChangeQuery, Changed},
    store::Scope,
};

const ENTRIES: usize = 50;
/// Applies nothing.
const CHECK: &str = "/api/config/validate";

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A request that may change something, before it is carried out.
pub(super) struct Attempt(Change);

impl Attempt {
    /// `None` for what only looks.
    pub(super) fn of(
        api: &Api,
        access: &Access,
        route: &str,
        demand: Demand,
        caller: &Caller,
        request: &Request,
    ) -> Option<Self> {
        let method = request.method();
        let looks = matches!(*method, Method::GET | Method::HEAD) || route == CHECK;
        if looks || demand.scope == Scope::Read {
            return None;
        }
        let local = request.extensions().get::<Trust>() == Some(&Trust::LocalAdministrator);
        let path = request.uri().path();
        let (instance, token) = named_by(route, path);
        Some(Self(Change {
            at: clock::wall(),
            actor: caller.actor().0,
            token_name: caller.grant().map(|grant| grant.name.clone()),
            source: (!local).then(|| api.source(request.headers()).to_string()),
            action: access.name(route, method).to_owned(),
            method: method.to_string(),
            path: path.to_owned(),
            instance,
            token,
            status: 0,
        }))
    }

    /// What is written down.
    pub(super) fn answered(self, response: &Response) -> Change {
        let mut change = self.0;
        change.at = clock::wall();
        change.status = response.status().as_u16();
        match response.extensions().get::<Subject>() {
            Some(Subject::Instance(name)) => change.instance = Some(name.to_string()),
            Some(Subject::Token(id)) => change.token = Some(id.clone()),
            None => {}
        }
        change
    }
}

/// The instance and the token that a path names.
fn named_by(route: &str, path: &str) -> (Option<String>, Option<String>) {
    let mut words = path.split('/').skip(3);
    if route.starts_with("/api/instances/{") {
        let (service, id) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        (Some(format!("{service}:{id}").to_ascii_lowercase()), None)
    } else if route.starts_with("/api/tokens/{") {
        (None, words.next().map(str::to_owned))
    } else {
        (None, None)
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// By this actor only: `local` or a token's id.
    actor: Option<String>,
    /// Of this instance only: `service:id`.
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
    let query = ChangeQuery {
        actor: request.actor,
        instance: request.instance,
        action: request.action,
        since,
        until,
        limit,
        offset: page.offset,
    };
    let history = api.history.clone();
    let found = blocking(move || history.changes_made(&query)).await?;
    let has_more = page.offset as u64 + (found.entries.len() as u64) < found.total;
    let pagination = page.pagination(limit, found.total, has_more);
    Ok(Json(Entries { audit: found.entries.into_iter().map(Entry::from).collect(), pagination }))
}
