//! `/api/logs`.

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};
use tenement_core::name::InstanceName;
use tenement_logs::{Level, LevelSet, LogLine, LogPage, LogQuery, QueryError};
use tenement_runtime::clock;

use super::{
    Api, ApiError,
    error::named,
    instances::timestamp,
    moment,
    page::Page,
    query::{Instance, QueryOf},
};

const LINES: usize = 50;
/// What the lines of one answer may take.
const ANSWER_MAX: usize = 8 << 20;

#[derive(Deserialize)]
pub(super) struct LogsQuery {
    limit: Option<String>,
    offset: Option<String>,
    service: Option<String>,
    instance: Option<String>,
    level: Option<String>,
    min_level: Option<String>,
    grep: Option<String>,
    search: Option<String>,
    since: Option<String>,
    until: Option<String>,
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

fn line(line: &LogLine) -> Value {
    let mut value = json!({
        "timestamp": timestamp(line.timestamp),
        "instance": line.instance.to_string(),
        "level": line.level.as_str(),
        "message": line.message(),
        "service": line.instance.service.as_str(),
        "id": line.instance.id.as_str(),
        "stream": line.stream.as_str(),
        "seq": line.seq,
    });
    if let Some(part) = line.part.as_str() {
        value["part"] = part.into();
    }
    value
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

fn answer(request: &LogsQuery, limit: usize, page: &LogPage) -> Result<Value, ApiError> {
    let lines: Vec<Value> = page.lines.iter().map(line).collect();
    let pagination = request.page()?.pagination(limit, page.total, page.has_more);
    Ok(json!({ "logs": lines, "pagination": pagination }))
}

pub(super) async fn all(
    State(api): State<Api>,
    QueryOf(request): QueryOf<LogsQuery>,
) -> Result<Json<Value>, ApiError> {
    let query = request.query(request.instance()?)?;
    let limit = query.limit;
    Ok(Json(answer(&request, limit, &page(&api, query).await?)?))
}

pub(super) async fn of_instance(
    State(api): State<Api>,
    Instance(service, id): Instance,
    QueryOf(request): QueryOf<LogsQuery>,
) -> Result<Json<Value>, ApiError> {
    let name = named(&service, &id)?;
    let query = request.query(Some(name.clone()))?;
    let limit = query.limit;
    let found = page(&api, query).await?;
    // Logs outlive their instance; a name without either never existed.
    if found.total == 0 && api.supervisor.get(&name).await.is_err() && !api.logs.known().contains(&name) {
        return Err(ApiError::instance_not_found(&service, &id));
    }
    let mut answer = answer(&request, limit, &found)?;
    answer["instance"] = name.to_string().into();
    Ok(Json(answer))
}
