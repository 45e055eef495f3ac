//! `[service.NAME]`.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use toml::de::DeValue;

use super::{
    Activation, Isolation, OnDemand, RestartPolicy, Service, logs,
    parse::Source,
    settings::positive,
    table::{Table, kind, whole},
    template::{Key, Template},
};
use crate::name::ServiceName;

pub(super) const DEFAULT_SOCKET: &str = "{data_dir}/run/{name}-{id}.sock";
/// What the kernel passes to a process is about 2 MiB; the instance's own variables need room too.
const ENV_BYTES_MAX: usize = 1 << 20;
/// Set by the daemon for every instance.
const DAEMON_VARIABLES: [&str; 6] =
    ["SOCKET_PATH", "PORT", "TENEMENT_SERVICE", "TENEMENT_ID", "TENEMENT_INSTANCE", "DATA_DIR"];
/// Keys of a service that are easily put below its `env` by mistake.
const SERVICE_KEYS: [&str; 10] = [
    "command",
    "args",
    "workdir",
    "socket",
    "health",
    "restart",
    "isolation",
    "idle_timeout",
    "startup_timeout",
    "autostart",
];

impl Service {
    /// `None` when it has no command; that is an error already then.
    pub(super) fn read(
        name: ServiceName,
        span: Range<usize>,
        table: &mut Table<'_, '_, '_>,
        source: &Source,
    ) -> Option<Self> {
        let command = command(&name, span, table);
        let seconds = Duration::from_secs;
        let count =
            |found: Option<u64>, default| found.and_then(|n| usize::try_from(n).ok()).unwrap_or(default);
        let workdir = table.text("workdir").map(|found| source.dir.join(found.value));
        let isolation = isolation(table);
        let (memory_limit_mb, cpu_shares, storage_quota_mb) = limits(table);
        Some(Self {
            workdir: workdir.unwrap_or_else(|| source.dir.clone()),
            socket: socket(table, source).or_else(|| Template::parse(DEFAULT_SOCKET).ok())?,
            activation: table
                .choice("activation", &[("bind", Activation::Bind), ("listen-fds", Activation::ListenFds)])
                .unwrap_or(Activation::Bind),
            autostart: table.boolean("autostart", true),
            health: health(table),
            health_timeout: positive(table, "health_timeout", seconds(5)),
            startup_timeout: positive(table, "startup_timeout", seconds(10)),
            // 0 was how earlier files said never.
            idle_timeout: table.duration("idle_timeout").filter(|timeout| !timeout.is_zero()),
            request_timeout: positive(table, "request_timeout", seconds(30)),
            restart: table
                .choice(
                    "restart",
                    &[
                        ("always", RestartPolicy::Always),
                        ("on-failure", RestartPolicy::OnFailure),
                        ("never", RestartPolicy::Never),
                    ],
                )
                .unwrap_or(RestartPolicy::OnFailure),
            isolation,
            memory_limit_mb,
            cpu_shares,
            storage_persist: table.boolean("storage_persist", true),
            storage_quota_mb,
            on_demand: on_demand(table),
            max_instances: count(table.integer("max_instances", 1..1_000_001), 1000),
            max_waiting: count(table.integer("max_waiting", 1..1_000_001), 1024),
            max_connections: table
                .integer("max_connections", 1..1_000_001)
                .and_then(|count| u32::try_from(count).ok()),
            log_retention: table.duration("log_retention"),
            log_max_size: table.size("log_max_size"),
            log_rate_limit: logs::rate(table, "log_rate_limit"),
            env: env(table),
            command: command?,
            name,
        })
    }
}

/// Splits first and looks for placeholders then, so that no value can ever add an argument.
fn command(name: &ServiceName, span: Range<usize>, table: &mut Table<'_, '_, '_>) -> Option<Vec<Template>> {
    let args = table.texts("args");
    let Some(command) = table.text("command") else {
        if table.raw("command").is_none() {
            table.findings.missing(span, format!("Service '{name}' missing required field: command"));
        }
        return None;
    };
    let mut words = match shell_words::split(&command.value) {
        Ok(words) if !words.is_empty() => words,
        Ok(_) => {
            table.findings.error(command.span, format!("Service '{name}': command is empty"));
            return None;
        }
        Err(_) => {
            table
                .findings
                .error(command.span, format!("Service '{name}': command has a quote that is not closed"));
            return None;
        }
    };
    words.extend(args.map(|args| args.value).unwrap_or_default());
    let mut templates = Vec::new();
    for word in &words {
        match Template::parse(word) {
            Ok(template) => templates.push(template),
            Err(error) => {
                table.findings.error(command.span.clone(), format!("Service '{name}' command: {error}"))
            }
        }
    }
    (templates.len() == words.len()).then_some(templates)
}

/// A relative path is below the file's folder. The app is told a whole one: it may have another working directory.
fn socket(table: &mut Table<'_, '_, '_>, source: &Source) -> Option<Template> {
    let found = table.template("socket")?;
    let text = found.value.to_string();
    let wrong = match [Key::Socket, Key::Port].into_iter().find(|&key| found.value.has(key)) {
        Some(key) => {
            Some(format!("socket: {key} can't stand here: there are {{name}}, {{id}} and {{data_dir}}"))
        }
        None => text.trim().is_empty().then(|| "socket: can't be empty".to_owned()),
    };
    if let Some(wrong) = wrong {
        table.findings.error(found.span, wrong);
        return None;
    }
    let whole = text.starts_with('/') || text.starts_with(&Key::DataDir.to_string());
    Some(if whole { found.value } else { found.value.behind(source.dir.join("").to_string_lossy()) })
}

fn isolation(table: &mut Table<'_, '_, '_>) -> Isolation {
    const WORDS: [(&str, Isolation); 3] = [
        ("process", Isolation::Process),
        ("namespace", Isolation::Namespace),
        ("sandbox", Isolation::Sandbox),
    ];
    let isolation = table.choice("isolation", &WORDS).unwrap_or(Isolation::Process);
    if isolation != Isolation::Process {
        table.unsupported(
            "isolation",
            "set it to \"process\", which gives every instance a process of its own and no more",
        );
    }
    isolation
}

/// Memory, processor and storage: read, but not enforced yet.
fn limits(table: &mut Table<'_, '_, '_>) -> (Option<u64>, u64, Option<u64>) {
    let memory = table.integer("memory_limit_mb", 1..1 << 30);
    if memory.is_some() {
        table.unsupported("memory_limit_mb", "remove it, or limit memory from outside");
    }
    let cpu = table.integer("cpu_shares", 1..1_000_001).unwrap_or(100);
    if cpu != 100 {
        table.unsupported("cpu_shares", "remove it; every instance has the same share");
    }
    let storage = table.integer("storage_quota_mb", 1..1 << 40);
    if storage.is_some() {
        table.unsupported("storage_quota_mb", "remove it, or set a quota of the file system");
    }
    (memory, cpu, storage)
}

fn health(table: &mut Table<'_, '_, '_>) -> Option<String> {
    let found = table.text("health")?;
    let plain = found.value.bytes().all(|byte| byte.is_ascii_graphic());
    if found.value.starts_with('/') && plain {
        return Some(found.value);
    }
    let message = format!("health: '{}' is not a path: write it as /health", found.value.escape_debug());
    table.findings.error(found.span, message);
    None
}

fn on_demand(table: &mut Table<'_, '_, '_>) -> OnDemand {
    let read = |value: &DeValue<'_>| match value {
        DeValue::Boolean(false) => Ok(OnDemand::Never),
        DeValue::String(word) if word == "known" => Ok(OnDemand::Known),
        DeValue::String(word) if word == "any" => Ok(OnDemand::Any),
        DeValue::String(word) if word == "false" => Ok(OnDemand::Never),
        _ => Err("must be \"known\", \"any\" or false".to_owned()),
    };
    table.read("on_demand", read).map_or(OnDemand::Known, |found| found.value)
}

fn env(table: &mut Table<'_, '_, '_>) -> BTreeMap<String, Template> {
    let Some(found) = table.raw("env") else { return BTreeMap::new() };
    let Some(variables) = found.get_ref().as_table() else {
        table.findings.error(found.span(), format!("env: must be a table, not {}", kind(found.get_ref())));
        return BTreeMap::new();
    };
    let mut env = BTreeMap::new();
    for (key, value) in variables {
        match variable(key.get_ref(), value.get_ref()) {
            Ok(template) => drop(env.insert(key.get_ref().to_string(), template)),
            Err(why) => {
                table.findings.error(value.span(), format!("env {}: {why}", key.get_ref().escape_debug()))
            }
        }
        if SERVICE_KEYS.contains(&key.get_ref().as_ref()) {
            let message = format!("env: '{}' is a key of the service: put it above [….env]", key.get_ref());
            table.findings.warning(key.span(), message);
        }
        if DAEMON_VARIABLES.contains(&key.get_ref().as_ref()) {
            let message = format!("env: '{}' is set by tenement, which wins", key.get_ref());
            table.findings.warning(key.span(), message);
        }
    }
    let bytes: usize = env.iter().map(|(key, value)| key.len() + value.to_string().len() + 2).sum();
    if bytes > ENV_BYTES_MAX {
        let message =
            format!("env has {bytes} bytes; the kernel passes about {ENV_BYTES_MAX} to a process (E2BIG)");
        table.findings.error(found.span(), message);
    }
    env
}

/// What one variable may have, with its name, `=` and NUL: `MAX_ARG_STRLEN`, execve(2).
const VARIABLE_MAX: usize = 128 << 10;

/// Whether a variable may be set for an instance, by whatever way it comes.
///
/// # Errors
/// Why not, in words for people.
pub fn check_variable(key: &str, value: &str) -> Result<(), &'static str> {
    if key.is_empty() || key.contains(['=', '\0']) {
        return Err("the name of a variable can't be empty and can't hold '=' or NUL");
    }
    if key.starts_with("LD_") {
        return Err("variables of the dynamic loader are not passed on");
    }
    if value.contains('\0') {
        return Err("can't hold a NUL");
    }
    if key.len() + value.len() + 2 > VARIABLE_MAX {
        return Err("has more than 128 KiB, which the kernel passes to no process (E2BIG)");
    }
    Ok(())
}

fn variable(key: &str, value: &DeValue<'_>) -> Result<Template, String> {
    let text = match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(digits) if digits.radix() == 10 => digits.as_str().to_owned(),
        DeValue::Integer(digits) => {
            whole(digits).ok_or("is too large: write it as a text, between quotes")?.to_string()
        }
        DeValue::Float(digits) => digits.as_str().to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        other => return Err(format!("must be a text, a number, true or false, not {}", kind(other))),
    };
    check_variable(key, &text)?;
    Template::parse(&text).map_err(|error| error.to_string())
}
