//! `POST /api/reload`: the configuration file taken anew; and what another text would do.
//!
//! ```text
//!   file, read once ─► flags of `ten serve` ─► Plan ─► sinks prepared ─► supervisor: fits? ─► in force everywhere
//!        └── errors: 422 ──────────────────────────────────┴── no: 422, and nothing has changed
//! ```

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenement_core::config::{Changed, ChangedService, Config, Plan, Takes, effective};
use tenement_supervisor::Reconfigured;
use tokio::{
    runtime::Handle,
    sync::{Mutex, Semaphore},
    task::spawn_blocking,
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Api, ApiError,
    blocking::blocking,
    body::{self, JsonBody},
    config::{self, Refused},
    query::QueryOf,
};
use crate::in_effect::Text;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(reload))
}

/// One after another: each begins with what the one before has put in force.
pub(super) static CHANGING: Mutex<()> = Mutex::const_new(());

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ReloadQuery {
    /// Only says what would be done.
    dry_run: Option<bool>,
}

/// The same as in the query.
#[derive(ToSchema)]
#[allow(dead_code)] // Described by this, read by `dry_run`.
struct ReloadRequest {
    /// Only says what would be done.
    dry_run: Option<bool>,
}

/// What a reload has done, or would do.
#[derive(Serialize, ToSchema)]
#[schema(as = ReloadPlan)]
pub(super) struct Told {
    /// Nothing was changed.
    dry_run: bool,
    /// Whether the file says something else than what is in force.
    changed: bool,
    /// Changed keys of `[settings]`.
    settings: Vec<Setting>,
    services: Services,
    instances: Instances,
    /// What in the file is probably not meant.
    warnings: Vec<String>,
}

/// A key whose value is another one.
#[derive(Serialize, ToSchema)]
#[schema(as = ReloadSetting)]
struct Setting {
    /// As in `tenement.toml`; a variable is `env.NAME`.
    key: String,
    /// What is in force; secrets are `***`.
    #[schema(value_type = Object)]
    from: Value,
    /// What the file says.
    #[schema(value_type = Object)]
    to: Value,
    /// `at_once`; `restart`: what runs of the service is restarted; `next_start`: it is not applied, but takes effect at
    /// the next start of the daemon or its next upgrade.
    takes_effect: &'static str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ReloadServices)]
struct Services {
    added: Vec<String>,
    /// Nothing leads to them any more, what runs of them is ended. Data, logs and records stay.
    removed: Vec<String>,
    changed: Vec<Service>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ReloadService)]
struct Service {
    service: String,
    settings: Vec<Setting>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ReloadInstances)]
struct Instances {
    /// New in `[instances]`.
    declared: Vec<String>,
    /// No longer there: each stays known, as one that was made by hand.
    undeclared: Vec<String>,
    /// Started as at the start of the daemon.
    started: Vec<String>,
    /// Some at a time, as many as may start at once.
    restarted: Vec<Restart>,
    /// Those of removed services: requests under way have `stop_timeout` to finish.
    ended: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ReloadRestart)]
struct Restart {
    instance: String,
    /// `configuration changed: command`.
    reason: String,
}

/// Take the configuration file anew
///
/// As a whole or not at all. Settings that are bound at the start are named and not applied, see `takes_effect`. A file
/// with errors changes nothing, nor does one that does not fit the instances there are: that is a 422.
#[utoipa::path(
    post, path = "/api/reload", operation_id = "reload", tag = "configuration", params(ReloadQuery),
    request_body = Option<ReloadRequest>,
    responses(
        (status = 200, description = "What was done, or with `dry_run` would be", body = Told),
        (status = 422, description = "Nothing was changed; every error at once", body = Refused),
        (status = 503, description = "The daemon is ending", body = inline(super::error::Envelope)),
    ),
    security(("bearer" = ["admin", "unbound"])),
)]
async fn reload(
    State(api): State<Api>,
    QueryOf(query): QueryOf<ReloadQuery>,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let dry_run = query.dry_run.map_or_else(|| dry_run(&body), Ok)?;
    if api.is_draining() {
        return Err(ApiError::unavailable("tenement is shutting down"));
    }
    // Carried out to its end, whether or not somebody waits.
    let carry_out = async move {
        let told = carry_out(api, dry_run).await;
        give_back(usize::MAX).await;
        told
    };
    let done = Handle::current().spawn(carry_out).await;
    let told = done.map_err(|error| ApiError::internal(&error))??;
    Ok(told.map_or_else(IntoResponse::into_response, |told| Json(told).into_response()))
}

fn dry_run(body: &[u8]) -> Result<bool, ApiError> {
    if matches!(body.trim_ascii(), b"" | b"null") {
        return Ok(false);
    }
    let members = body::object::<Option<bool>>(body)?;
    body::only(&["dry_run"], &members)?;
    Ok(members.get("dry_run").copied().flatten().unwrap_or(false))
}

/// What is in force, and what is to be.
struct Difference {
    plan: Plan,
    old: Arc<Config>,
    new: Config,
    text: Text,
    warnings: Vec<String>,
}

/// `text`: what is to stand in the file; what stands there, without.
async fn difference(api: &Api, text: Option<Bytes>) -> Result<Result<Difference, Refused>, ApiError> {
    let about = Arc::clone(&api.about);
    let read = move || {
        let old = about.config.load_full();
        let (path, strict) = (old.path.as_deref(), about.flags.strict);
        let found = match text {
            Some(text) => config::of_text(text.to_vec(), path, strict),
            None => config::of_file(path, strict),
        };
        Ok::<_, ApiError>(found.map(|(mut new, text, warnings)| {
            about.flags.apply(&mut new);
            Difference { plan: Plan::of(&old, &new), old, new, text, warnings }
        }))
    };
    blocking(read).await
}

/// What was found out is told whatever becomes of this.
async fn give_back(bytes: usize) {
    let _ = spawn_blocking(move || config::give_back(bytes)).await;
}

/// One after another: a large text takes a hundred times its size while it is looked at.
static PLANNING: Semaphore = Semaphore::const_new(1);

/// What a reload would do if this stood in the file.
pub(super) async fn plan(api: &Api, text: Bytes) -> Result<Result<Told, Refused>, ApiError> {
    // Who types on gives up what waits; what is begun goes on, and keeps its turn until then.
    let turn = PLANNING.acquire().await.map_err(|error| ApiError::internal(&error))?;
    let api = api.clone();
    let done = Handle::current().spawn(async move {
        let _turn = turn;
        let bytes = text.len();
        let told = foresee(&api, text).await;
        give_back(bytes).await;
        told
    });
    done.await.map_err(|error| ApiError::internal(&error))?
}

async fn foresee(api: &Api, text: Bytes) -> Result<Result<Told, Refused>, ApiError> {
    let found = match difference(api, Some(text)).await? {
        Ok(found) => found,
        Err(refused) => return Ok(Err(refused)),
    };
    let steps = api.supervisor.reconfigure(Arc::clone(&found.plan.config), true).await?;
    Told::of(true, found, &steps).map(Ok)
}

async fn carry_out(api: Api, dry_run: bool) -> Result<Result<Told, Refused>, ApiError> {
    let _turn = CHANGING.lock().await;
    let found = match difference(&api, None).await? {
        Ok(found) => found,
        Err(refused) => return Ok(Err(refused)),
    };
    let steps = match dry_run {
        true => api.supervisor.reconfigure(Arc::clone(&found.plan.config), true).await?,
        false => apply(&api, &found.plan, &found.text).await?,
    };
    let told = Told::of(dry_run, found, &steps)?;
    if !dry_run && told.changed {
        tracing::info!(
            restarted = steps.restarts.len(),
            started = steps.starts.len(),
            ended = steps.ends.len(),
            "the configuration was taken anew"
        );
    }
    Ok(Ok(told))
}

/// Takes the file anew because this daemon follows another one. What is wrong with it is logged, and changes nothing.
pub async fn take_anew(api: Api) {
    let why = match carry_out(api, false).await {
        Ok(Ok(_)) => return,
        Ok(Err(refused)) => refused.message,
        Err(error) => error.to_string(),
    };
    tracing::error!("the configuration stays as it was: {why}; mend the file and run 'ten reload'");
}

/// What may fail comes before the supervisor, which decides; what comes after it can't fail.
async fn apply(api: &Api, plan: &Plan, text: &Text) -> Result<Reconfigured, ApiError> {
    let (sinks, logs, config) = (Arc::clone(&api.sinks), api.logs.clone(), Arc::clone(&plan.config));
    let prepare = move || sinks.prepare(&config, &logs).map_err(|error| ApiError::internal(&error));
    let prepared = blocking(prepare).await?;
    let steps = api.supervisor.reconfigure(Arc::clone(&plan.config), false).await?;
    api.retention.put(Arc::clone(&plan.config), text);
    api.sinks.switch(prepared, &api.logs);
    Ok(steps)
}

impl Told {
    /// What in the text is probably not meant.
    pub(super) fn into_warnings(self) -> Vec<String> {
        self.warnings
    }

    fn of(dry_run: bool, found: Difference, steps: &Reconfigured) -> Result<Self, ApiError> {
        let Difference { plan, old, new, warnings, .. } = found;
        let shown =
            |config| serde_json::to_value(effective(config)).map_err(|error| ApiError::internal(&error));
        let (before, after) = (shown(&old)?, shown(&new)?);
        let section = |changed: &[Changed], pick: &dyn Fn(&Value) -> Value| -> Vec<Setting> {
            let (before, after) = (pick(&before), pick(&after));
            changed.iter().map(|changed| Setting::of(changed, &before, &after)).collect()
        };
        let service = |ChangedService { name, settings }: &ChangedService| Service {
            service: name.to_string(),
            settings: section(settings, &|config| config["services"][name.as_str()].clone()),
        };
        let restart = |(instance, reason): &(_, String)| {
            let instance: &tenement_core::name::InstanceName = instance;
            Restart { instance: instance.to_string(), reason: reason.clone() }
        };
        Ok(Self {
            dry_run,
            changed: !plan.is_empty() || *steps != Reconfigured::default(),
            settings: section(&plan.settings, &|config| config["settings"].clone()),
            services: Services {
                added: words(&plan.added),
                removed: words(&plan.removed),
                changed: plan.changed.iter().map(service).collect(),
            },
            instances: Instances {
                declared: words(&plan.declared),
                undeclared: words(&plan.undeclared),
                started: words(&steps.starts),
                restarted: steps.restarts.iter().map(restart).collect(),
                ended: words(&steps.ends),
            },
            warnings,
        })
    }
}

fn words<T: ToString>(names: &[T]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

impl Setting {
    fn of(changed: &Changed, before: &Value, after: &Value) -> Self {
        let value = |of: &Value| match changed.key.split_once('.') {
            Some((table, key)) => of[table][key].clone(),
            None => of[changed.key.as_str()].clone(),
        };
        let takes: Takes = changed.takes;
        Self { key: changed.key.clone(), from: value(before), to: value(after), takes_effect: takes.as_str() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_may_ask_for_a_dry_run_and_for_nothing_else() {
        assert!(!dry_run(b" \n").unwrap() && !dry_run(b"{}").unwrap());
        assert!(dry_run(br#"{ "dry_run": true }"#).unwrap());
        assert!(!dry_run(br#"{ "dry_run": null }"#).unwrap());
        for wrong in [r#"{ "dryrun": true }"#, "[]", "true", r#"{ "dry_run": "yes" }"#, "x"] {
            assert!(dry_run(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
