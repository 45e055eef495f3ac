//! `/api/logs`.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use tenement_core::name::InstanceName;
use tenement_logs::{Level, LevelSet, LogLine, LogPage, LogQuery, QueryError};
use tenement_runtime::clock;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Api, ApiError, Caller,
    instances::timestamp,
    moment,
    page::{Page, Pagination, Whole},
    query::{Instance, QueryOf},
};

const LINES: usize = 50;
/// What the lines of one answer may take.
const ANSWER_MAX: usize = 8 << 20;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(all)).routes(routes!(of_instance))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LogsQuery {
    /// The newest so many; 50 without it. Above 1000 it is 1000.
    #[param(inline, value_type = Option<Whole>)]
    limit: Option<String>,
    /// Skips so many of the newest.
    #[param(inline, value_type = Option<Whole>)]
    offset: Option<String>,
    /// Of this service only.
    #[param(pattern = "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$")]
    service: Option<String>,
    /// Of this instance only: `service:id`, or the id next to `service`.
    #[param(pattern = "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?:[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]
    instance: Option<String>,
    /// Of exactly these levels: `warn,error`.
    #[param(pattern = "^(debug|info|warn|error)(,(debug|info|warn|error))*$")]
    level: Option<String>,
    /// Of this level and above.
    #[param(pattern = "^(debug|info|warn|error)$")]
    min_level: Option<String>,
    /// Matching this regular expression.
    #[param(pattern = "^[a-z0-9 ]*$")]
    grep: Option<String>,
    /// Holding this text as it is.
    search: Option<String>,
    /// Not before: `30s`, `5m`, `1h`, `7d` ago, or RFC 3339.
    #[param(pattern = "^[0-9]{1,9}[smhd]$")]
    since: Option<String>,
    /// Not after.
    #[param(pattern = "^[0-9]{1,9}[smhd]$")]
    until: Option<String>,
}

/// One line.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LogLine)]
pub(super) struct Line {
    /// When its bytes arrived.
    #[schema(format = DateTime)]
    timestamp: String,
    /// Who wrote it.
    #[schema(example = "api:user123")]
    instance: String,
    /// `debug`, `info`, `warn` or `error`.
    level: &'static str,
    message: String,
    service: String,
    id: String,
    /// `stdout` or `stderr`.
    stream: &'static str,
    /// Its place among all lines of this instance.
    seq: u64,
    /// For a piece of a line over 64 KiB (`cut`, `last`), or one whose end has not been written yet (`open`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    part: Option<&'static str>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = LogList)]
struct Lines {
    logs: Vec<Line>,
    pagination: Pagination,
}

#[derive(Serialize, ToSchema)]
#[schema(as = InstanceLogList)]
struct InstanceLines {
    instance: String,
    #[serde(flatten)]
    lines: Lines,
}

impl LogsQuery {
    fn page(&self) -> Result<Page, ApiError> {
        Page::parse(self.limit.as_deref(), self.offset.as_deref())
    }

    fn levels(&self) -> Result<LevelSet, ApiError> {
        let level = |word: &str| {
            Level::from_word(word).ok_or_else(|| ApiError::bad_request(format!("'{word}' is not a level")))
        };
        let exact = match &self.level {
            Some(words) => words.split(',').map(|word| level(word.trim())).collect::<Result<_, _>>()?,
            None => LevelSet::ALL,
        };
        let least = self.min_level.as_deref().map(level).transpose()?;
        Ok(least.map_or(exact, |least| exact.and(LevelSet::at_least(least))))
    }

    /// `api:user123`, or `user123` together with `service=api`.
    fn instance(&self) -> Result<Option<InstanceName>, ApiError> {
        let Some(instance) = &self.instance else { return Ok(None) };
        Ok(Some(match &self.service {
            Some(service) if !instance.contains(':') => InstanceName::new(service, instance)?,
            _ => instance.parse()?,
        }))
    }

    fn query(&self, instance: Option<InstanceName>) -> Result<LogQuery, ApiError> {
        let page = self.page()?;
        let now = clock::wall();
        let moment = |key, text: &Option<String>| {
            text.as_deref().map(|text| moment::parse(key, text, now)).transpose()
        };
        Ok(LogQuery {
            service: self.service.as_deref().map(str::parse).transpose()?,
            instance,
            levels: self.levels()?,
            grep: self.grep.clone(),
            search: self.search.clone(),
            since: moment("since", &self.since)?,
            until: moment("until", &self.until)?,
            limit: page.limit.unwrap_or(LINES),
            offset: page.offset,
            max_bytes: ANSWER_MAX,
        })
    }
}

pub(super) fn line(line: &LogLine) -> Line {
    Line {
        timestamp: timestamp(line.timestamp),
        instance: line.instance.to_string(),
        level: line.level.as_str(),
        message: line.message().into_owned(),
        service: line.instance.service.to_string(),
        id: line.instance.id.to_string(),
        stream: line.stream.as_str(),
        seq: line.seq,
        part: line.part.as_str(),
    }
}

async fn page(api: &Api, query: LogQuery) -> Result<LogPage, ApiError> {
    let logs = api.logs.clone();
    let page = tokio::task::spawn_blocking(move || logs.query(&query)).await;
    match page.map_err(|error| ApiError::internal(&error))? {
        Ok(page) => Ok(page),
        Err(error @ QueryError::Grep(_)) => Err(ApiError::bad_request(error.to_string())),
        Err(error) => Err(ApiError::internal(&error)),
    }
}

fn answer(request: &LogsQuery, limit: usize, page: &LogPage) -> Result<Lines, ApiError> {
    let pagination = request.page()?.pagination(limit, page.total, page.has_more);
    Ok(Lines { logs: page.lines.iter().map(line).collect(), pagination })
}

/// Logs of all instances
#[utoipa::path(
    get, path = "/api/logs", operation_id = "list_logs", tag = "logs", params(LogsQuery),
    responses((status = 200, description = "The newest lines, in the order of time", body = Lines)),
    security(("bearer" = ["read"])),
)]
async fn all(
    State(api): State<Api>,
    caller: Caller,
    QueryOf(request): QueryOf<LogsQuery>,
) -> Result<Json<Lines>, ApiError> {
    let mut query = request.query(request.instance()?)?;
    if !caller.narrow(&mut query.service, &mut query.instance) {
        query.limit = 0;
    }
    let limit = request.page()?.limit.unwrap_or(LINES);
    Ok(Json(answer(&request, limit, &page(&api, query).await?)?))
}

/// Logs of one instance
///
/// Also of one that is gone, until the retention of its logs ends.
#[utoipa::path(
    get, path = "/api/logs/{service}/{id}", operation_id = "list_instance_logs", tag = "logs",
    params(Instance, LogsQuery),
    responses((status = 200, description = "The newest lines, in the order of time", body = InstanceLines)),
    security(("bearer" = ["read"])),
)]
async fn of_instance(
    State(api): State<Api>,
    caller: Caller,
    Instance { service, id }: Instance,
    QueryOf(request): QueryOf<LogsQuery>,
) -> Result<Json<InstanceLines>, ApiError> {
    let name = caller.named(&service, &id)?;
    let query = request.query(Some(name.clone()))?;
    let limit = query.limit;
    let found = page(&api, query).await?;
    // Logs outlive their instance; a name without either never existed.
    if found.total == 0 && api.supervisor.get(&name).await.is_err() && !api.logs.known().contains(&name) {
        return Err(ApiError::instance_not_found(&service, &id));
    }
    let lines = answer(&request, limit, &found)?;
    Ok(Json(InstanceLines { instance: name.to_string(), lines }))
}
