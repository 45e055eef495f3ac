//! `GET /api/instances/:service/:id/config`: what an instance is started with.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::Value;
use tenement_core::{
    config::{Config, Service, effective_service, masked, template::Values},
    view::InstanceView,
};
use utoipa::ToSchema;

use crate::api::{Api, ApiError, Caller, blocking::blocking, query::Instance};

/// What the daemon decides at each start, whatever anybody else says.
const DAEMONS: [&str; 6] =
    ["DATA_DIR", "PORT", "SOCKET_PATH", "TENEMENT_ID", "TENEMENT_INSTANCE", "TENEMENT_SERVICE"];
/// Of a service's section: what is the machine's and not the tenants'.
const MACHINES: [&str; 5] = ["command", "env", "log_sink", "socket", "workdir"];
const HIDDEN: &str = "***";

/// What an instance is started with.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InstanceConfig)]
pub(super) struct InForce {
    #[schema(example = "api:user123")]
    instance: String,
    /// Its variables: those of its service, and over them its own. Not those that the daemon adds at each start. Secrets are
    /// `***`; for a token that is bound all of the service's are.
    env: BTreeMap<String, String>,
    /// Its service's section, with every default filled in. For a token that is bound, without `command`, `workdir`,
    /// `socket`, `env` and `log_sink`.
    #[schema(value_type = Object)]
    config: Value,
}

/// Get the configuration of an instance
///
/// What is in force, and its environment. Values of variables whose names look like those of secrets are `***`.
#[utoipa::path(
    get, path = "/api/instances/{service}/{id}/config", operation_id = "get_instance_config", tag = "instances",
    params(Instance),
    responses((status = 200, description = "What it is started with", body = InForce)),
    security(("bearer" = ["read"])),
)]
pub(super) async fn get(
    State(api): State<Api>,
    caller: Caller,
    Instance { service, id }: Instance,
) -> Result<Json<InForce>, ApiError> {
    let name = caller.named(&service, &id)?;
    let view = api.supervisor.get(&name).await?;
    let config = api.about.config.load_full();
    // It may be on its way out, with its service gone.
    let section =
        config.services.get(&name.service).ok_or_else(|| ApiError::instance_not_found(&service, &id))?;
    let (store, of) = (api.store.clone(), name.clone());
    let own = blocking(move || store.environment(&of)).await?;
    let env = environment(&config, section, &view, own, caller.is_bound());
    let mut shown =
        serde_json::to_value(effective_service(section)).map_err(|error| ApiError::internal(&error))?;
    if let (true, Value::Object(members)) = (caller.is_bound(), &mut shown) {
        members.retain(|key, _| !MACHINES.contains(&key.as_str()));
    }
    Ok(Json(InForce { instance: name.to_string(), env, config: shown }))
}

fn environment(
    config: &Config,
    service: &Service,
    view: &InstanceView,
    own: BTreeMap<String, String>,
    bound: bool,
) -> BTreeMap<String, String> {
    let values = Values {
        name: view.name.service.as_str(),
        id: view.name.id.as_str(),
        data_dir: &config.settings.data_dir.to_string_lossy(),
        socket: &view.socket.to_string_lossy(),
        // Another one at each start.
        port: "{port}",
    };
    let of_service = service.env.iter().map(|(key, value)| match bound {
        true => (key.clone(), HIDDEN.to_owned()),
        false => (key.clone(), masked(key, &value.fill(&values))),
    });
    let mut env: BTreeMap<String, String> = of_service.collect();
    env.extend(own.into_iter().map(|(key, value)| {
        let shown = masked(&key, &value);
        (key, shown)
    }));
    env.retain(|key, _| !DAEMONS.contains(&key.as_str()));
    env
}
