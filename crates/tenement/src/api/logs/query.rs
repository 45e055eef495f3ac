//! Which lines are asked for.

use std::{collections::BTreeMap, str::FromStr};

use serde::Deserialize;
use serde_json::Value;
use tenement_core::{name::InstanceName, time::WallMillis};
use tenement_logs::{Begin, Bounds, Level, LevelSet, LogQuery};
use tenement_runtime::clock;
use utoipa::IntoParams;

use super::super::{
    ApiError, Caller, body, moment,
    page::{Page, Whole},
    query, stream,
};

/// Lines of an answer that asks for no other number.
const LINES: usize = 50;
/// What the lines of one answer may take.
const ANSWER_MAX: usize = 8 << 20;

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LogsQuery {
    /// The newest so many; 50 without it. Above 1000 it is 1000.
    #[param(inline, value_type = Option<Whole>)]
    pub(super) limit: Option<String>,
    /// Skips so many of the newest.
    #[param(inline, value_type = Option<Whole>)]
    pub(super) offset: Option<String>,
    /// Of this service only.
    #[param(pattern = "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$")]
    pub(super) service: Option<String>,
    /// Of this instance only: `service:id`, or the id next to `service`.
    #[param(pattern = "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?:[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]
    pub(super) instance: Option<String>,
    /// Of exactly these levels: `warn,error`.
    #[param(pattern = "^(debug|info|warn|error)(,(debug|info|warn|error))*$")]
    pub(super) level: Option<String>,
    /// Of this level and above.
    #[param(pattern = "^(debug|info|warn|error)$")]
    pub(super) min_level: Option<String>,
    /// Matching this regular expression.
    pub(super) grep: Option<String>,
    /// Holding this text as it is.
    pub(super) search: Option<String>,
    /// Not before: `30s`, `5m`, `1h`, `7d` ago, or RFC 3339.
    #[param(pattern = "^[0-9]{1,9}[smhd]$")]
    pub(super) since: Option<String>,
    /// Not after.
    #[param(pattern = "^[0-9]{1,9}[smhd]$")]
    pub(super) until: Option<String>,
    /// Only lines before these places: `SERVICE:ID:SEQ`, several with commas. So the next older page is asked for
    /// with the first `seq` of each instance on this one, which costs less than an `offset`.
    #[param(pattern = "^([a-z0-9_-]+:[a-z0-9._-]+:[0-9]{1,19}(,[a-z0-9_-]+:[a-z0-9._-]+:[0-9]{1,19})*)?$")]
    pub(super) before: Option<String>,
    /// With `follow`: goes on with these lines of these instances, `SERVICE:ID:SEQ` and several with commas, however
    /// many follow them; of other instances with those from `since` on. `limit` means nothing then. `SEQ@MILLIS` also
    /// says when the line before it arrived: an instance that was erased and made anew meanwhile begins with its first.
    #[param(
        pattern = "^([a-z0-9_-]+:[a-z0-9._-]+:[0-9]{1,19}(@[0-9]{1,19})?(,[a-z0-9_-]+:[a-z0-9._-]+:[0-9]{1,19}(@[0-9]{1,19})?)*)?$"
    )]
    pub(super) from: Option<String>,
    /// `true`: goes on with lines as they come, and never ends. Not together with `offset`, `until` or `before`.
    pub(super) follow: Option<bool>,
}

/// What a `filter` message may have.
const FILTER: [&str; 6] = ["service", "instance", "level", "min_level", "grep", "search"];

impl LogsQuery {
    /// Of the members of a `filter` message, without its `type`.
    pub(super) fn filter(members: &BTreeMap<String, Value>) -> Result<Self, ApiError> {
        body::only(&FILTER, members)?;
        let text = |key: &str| match members.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(ApiError::bad_request(format!("'{key}' must be a string"))),
        };
        Ok(Self {
            service: text("service")?,
            instance: text("instance")?,
            level: text("level")?,
            min_level: text("min_level")?,
            grep: text("grep")?,
            search: text("search")?,
            ..Self::default()
        })
    }

    pub(super) fn page(&self) -> Result<Page, ApiError> {
        Page::parse(self.limit.as_deref(), self.offset.as_deref())
    }

    /// Whether lines are to come as long as somebody reads.
    pub(super) fn follows(&self) -> Result<bool, ApiError> {
        let bounded = self.offset.is_some() || self.until.is_some() || self.before.is_some();
        stream::follows(self.follow, bounded)
    }

    /// Where a reader that comes again goes on, as it says itself.
    pub(super) fn begin(&self, since: Option<WallMillis>) -> Result<Option<Begin>, ApiError> {
        let Some(from) = &self.from else { return Ok(None) };
        Ok(Some(Begin::At { places: places("from", from)?, since }))
    }

    fn levels(&self) -> Result<LevelSet, ApiError> {
        let level = |word: &str| {
            Level::from_word(word).ok_or_else(|| {
                ApiError::bad_request(format!(
                    "'{word}' is not a level: there are debug, info, warn and error"
                ))
            })
        };
        let exact = match &self.level {
            Some(words) => words.split(',').map(|word| level(word.trim())).collect::<Result<_, _>>()?,
            None => LevelSet::ALL,
        };
        let least = self.min_level.as_deref().map(level).transpose()?;
        Ok(least.map_or(exact, |least| exact.and(LevelSet::at_least(least))))
    }

    /// The question, about what `caller` sees.
    pub(super) fn query(&self, caller: &Caller) -> Result<LogQuery, ApiError> {
        let name = query::instance(self.service.as_deref(), self.instance.as_deref())?;
        self.query_of(name, caller)
    }

    /// The same about one instance.
    pub(super) fn query_of(
        &self,
        instance: Option<InstanceName>,
        caller: &Caller,
    ) -> Result<LogQuery, ApiError> {
        let page = self.page()?;
        let (since, until) = moment::span(self.since.as_deref(), self.until.as_deref(), clock::wall())?;
        Ok(LogQuery {
            service: self.service.as_deref().map(str::parse).transpose()?,
            instance,
            levels: self.levels()?,
            grep: self.grep.clone(),
            search: self.search.clone(),
            terms: Vec::new(),
            since,
            until,
            before: places("before", self.before.as_deref().unwrap_or_default())?,
            bounds: bounds(caller),
            limit: page.limit.unwrap_or(LINES),
            offset: page.offset,
            max_bytes: ANSWER_MAX,
        })
    }
}

/// Of `SERVICE:ID:SEQ,…`.
pub(super) fn places<P: FromStr>(name: &str, text: &str) -> Result<BTreeMap<InstanceName, P>, ApiError> {
    let place = |one: &str| {
        let (instance, seq) = one.rsplit_once(':')?;
        Some((instance.parse().ok()?, seq.parse().ok()?))
    };
    let places = text.split(',').filter(|one| !one.is_empty()).map(|one| {
        place(one).ok_or_else(|| {
            ApiError::bad_request(format!("'{name}': '{one}' is not a place: write it as SERVICE:ID:SEQ"))
        })
    });
    places.collect()
}

fn bounds(caller: &Caller) -> Bounds {
    let mut bounds = Bounds::default();
    caller.narrow(&mut bounds.service, &mut bounds.instance);
    bounds
}
