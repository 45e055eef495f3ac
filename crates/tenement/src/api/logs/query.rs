//! Which lines are asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use axum::{extract::FromRequestParts, http::request::Parts};
use serde::Deserialize;
use serde_json::Value;
use tenement_core::{name::InstanceName, time::WallMillis};
use tenement_logs::{Begin, Bounds, Level, LevelSet, LogQuery, PageEnd, Stream};
use tenement_runtime::clock;
use utoipa::IntoParams;

use super::super::{
    ApiError, Caller,
    blocking::Abandoned,
    body, moment,
    page::{Page, Whole, whole},
    query::{self, QueryOf},
    stream,
};
use super::{fields, words::words};

/// Lines of an answer that asks for no other number.
const LINES: usize = 50;
/// What the lines of one answer may take.
pub(super) const ANSWER_MAX: usize = 8 << 20;
/// The most lines around each line that was found.
const CONTEXT_MAX: usize = 100;
/// The most instances that are named.
const INSTANCES_MAX: usize = 1000;

/// Parameters that mean nothing where there are no pages.
pub(crate) const PAGED: [&str; 10] = [
    "limit",
    "offset",
    "count",
    "before",
    "cursor",
    "context",
    "context_before",
    "context_after",
    "follow",
    "from",
];

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LogsQuery {
    /// The newest so many; 50 without it. Above 1000 it is 1000.
    #[param(inline, value_type = Option<Whole>)]
    pub(super) limit: Option<String>,
    /// Skips so many of the newest.
    #[param(inline, value_type = Option<Whole>)]
    pub(super) offset: Option<String>,
    /// `false`: does not count all that match, which is faster where they are many. `total` may then be that of the lines up to
    /// the end of the page, and one more if there are more.
    pub(super) count: Option<bool>,
    /// Of this service only.
    #[param(pattern = "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$")]
    pub(super) service: Option<String>,
    /// Of this instance only: `service:id`, or the id next to `service`; several with commas.
    #[param(pattern = "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?:[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]
    pub(super) instance: Option<String>,
    /// Of this stream only.
    #[param(pattern = "^(stdout|stderr)$")]
    pub(super) stream: Option<String>,
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
    /// Holding all these words, in upper or lower case; `"in quotes"` as they stand together.
    pub(super) query: Option<String>,
    /// Conditions on fields.
    #[serde(skip)]
    pub(super) fields: Vec<String>,
    /// Whether anybody waits for the answer.
    #[serde(skip)]
    #[param(ignore)]
    pub(super) abandoned: Abandoned,
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
    /// The next older page: `next_cursor` of the one before. Exact whatever is written meanwhile; `total` stays that of
    /// the first page. Not together with `offset`.
    #[param(pattern = "^a~0~0$")]
    pub(super) cursor: Option<String>,
    /// Also so many lines before and after each, of the same instance, whatever they say; 100 at most. They have
    /// `context`, and count for nothing else.
    #[param(inline, value_type = Option<Whole>)]
    pub(super) context: Option<String>,
    /// Instead of `context`: before each.
    #[param(inline, value_type = Option<Whole>)]
    pub(super) context_before: Option<String>,
    /// Instead of `context`: after each.
    #[param(inline, value_type = Option<Whole>)]
    pub(super) context_after: Option<String>,
    /// With `follow`: goes on with these lines of these instances, `SERVICE:ID:SEQ` and several with commas, however
    /// many follow them; of other instances with those from `since` on. `limit` means nothing then. `SEQ@MILLIS` also
    /// says when the line before it arrived: an instance that was erased and made anew meanwhile begins with its first.
    #[param(
        pattern = "^([a-z0-9_-]+:[a-z0-9._-]+:[0-9]{1,19}(@[0-9]{1,19})?(,[a-z0-9_-]+:[a-z0-9._-]+:[0-9]{1,19}(@[0-9]{1,19})?)*)?$"
    )]
    pub(super) from: Option<String>,
    /// `true`: goes on with lines as they come, and never ends. Not together with `offset`, `until`, `before`,
    /// `cursor` or `context`.
    pub(super) follow: Option<bool>,
}

/// What a `filter` message may have.
const FILTER: [&str; 8] = ["service", "instance", "stream", "level", "min_level", "grep", "search", "fields"];

impl<S: Send + Sync> FromRequestParts<S> for LogsQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let QueryOf(asked) = QueryOf::<Self>::from_request_parts(parts, state).await?;
        let QueryOf(pairs) = QueryOf::<Vec<(String, String)>>::from_request_parts(parts, state).await?;
        let fields = pairs.iter().filter_map(|(key, value)| fields::of_pair(key, value)).collect();
        Ok(Self { fields, abandoned: Abandoned::of(parts), ..asked })
    }
}

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
            stream: text("stream")?,
            level: text("level")?,
            min_level: text("min_level")?,
            grep: text("grep")?,
            search: text("search")?,
            fields: fields::of_member(members.get("fields"))?,
            ..Self::default()
        })
    }

    pub(super) fn page(&self) -> Result<Page, ApiError> {
        Page::parse(self.limit.as_deref(), self.offset.as_deref())
    }

    /// Whether lines are to come as long as somebody reads.
    pub(super) fn follows(&self) -> Result<bool, ApiError> {
        let bounded = self.offset.is_some() || self.until.is_some() || self.before.is_some();
        let follows = stream::follows(self.follow, bounded)?;
        if follows && (self.cursor.is_some() || self.around()?.is_some()) {
            return Err(ApiError::bad_request("'cursor' and 'context' mean nothing together with 'follow'"));
        }
        Ok(follows)
    }

    /// Refuses what means nothing where there are no pages.
    pub(super) fn unpaged(&self) -> Result<(), ApiError> {
        let [limit, offset, before, cursor, context, context_before, context_after] = [
            &self.limit,
            &self.offset,
            &self.before,
            &self.cursor,
            &self.context,
            &self.context_before,
            &self.context_after,
        ]
        .map(Option::is_some);
        let follow = self.follow == Some(true);
        let given = [
            limit,
            offset,
            self.count.is_some(),
            before,
            cursor,
            context,
            context_before,
            context_after,
            follow,
            self.from.is_some(),
        ];
        match PAGED.iter().zip(given).find(|(_, given)| *given) {
            Some((key, _)) => Err(ApiError::bad_request(format!("'{key}' means nothing here"))),
            None => Ok(()),
        }
    }

    /// How many lines before and after each are asked for, if any.
    pub(super) fn around(&self) -> Result<Option<(u64, u64)>, ApiError> {
        let lines = |key: &str, text: &Option<String>| match text {
            Some(text) => whole(key, text).map(|lines| Some(lines.min(CONTEXT_MAX) as u64)),
            None => Ok(None),
        };
        let both = lines("context", &self.context)?;
        let before = lines("context_before", &self.context_before)?.or(both);
        let after = lines("context_after", &self.context_after)?.or(both);
        let around = (before.unwrap_or(0), after.unwrap_or(0));
        Ok((before.is_some() || after.is_some()).then_some(around))
    }

    fn stream(&self) -> Result<Option<Stream>, ApiError> {
        let Some(word) = &self.stream else { return Ok(None) };
        let stream = Stream::ALL.into_iter().find(|stream| stream.as_str() == word);
        let unknown = || {
            ApiError::bad_request(format!(
                "'{}' is not a stream: there are stdout and stderr",
                word.escape_debug()
            ))
        };
        stream.ok_or_else(unknown).map(Some)
    }

    fn cursor(&self) -> Result<Option<PageEnd>, ApiError> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        if self.offset.is_some() {
            return Err(ApiError::bad_request("'offset' means nothing together with 'cursor'"));
        }
        let cursor = cursor.parse().map_err(|error| ApiError::bad_request(format!("'cursor': {error}")))?;
        Ok(Some(cursor))
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
        let names = query::instances(self.service.as_deref(), self.instance.as_deref())?;
        if names.len() > INSTANCES_MAX {
            return Err(ApiError::bad_request(format!(
                "'instance' names more than {INSTANCES_MAX} instances"
            )));
        }
        self.query_of(names, caller)
    }

    /// The same about these instances only, if there are any.
    pub(super) fn query_of(
        &self,
        mut instances: BTreeSet<InstanceName>,
        caller: &Caller,
    ) -> Result<LogQuery, ApiError> {
        let instance = if instances.len() == 1 { instances.pop_first() } else { None };
        let page = self.page()?;
        let (since, until) = moment::span(self.since.as_deref(), self.until.as_deref(), clock::wall())?;
        Ok(LogQuery {
            service: self.service.as_deref().map(str::parse).transpose()?,
            instance,
            instances,
            stream: self.stream()?,
            levels: self.levels()?,
            grep: self.grep.clone(),
            search: self.search.clone(),
            terms: self.query.as_deref().map(words).transpose()?.unwrap_or_default(),
            fields: fields::parse(&self.fields)?,
            since,
            until,
            before: places("before", self.before.as_deref().unwrap_or_default())?,
            cursor: self.cursor()?,
            bounds: bounds(caller),
            limit: page.limit.unwrap_or(LINES),
            offset: page.offset,
            count: self.count != Some(false),
            max_bytes: ANSWER_MAX,
            deadline: None,
            abandoned: Some(self.abandoned.flag()),
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
