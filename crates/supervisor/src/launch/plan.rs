//! Command line and environment of an instance, from its service's templates.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use tenement_core::{
    config::{Service, template::Values},
    name::InstanceName,
};

/// What the templates are filled in with.
pub(crate) struct Facts<'a> {
    pub(crate) name: &'a InstanceName,
    pub(crate) service: &'a Service,
    /// The daemon's data directory.
    pub(crate) data_dir: &'a Path,
    pub(crate) socket: &'a Path,
    pub(crate) port: u16,
    /// The instance's own environment.
    pub(crate) env: &'a BTreeMap<String, String>,
}

impl Facts<'_> {
    fn with_values<T>(&self, use_them: impl FnOnce(&Values<'_>) -> T) -> T {
        use_them(&Values {
            name: self.name.service.as_str(),
            id: self.name.id.as_str(),
            data_dir: &self.data_dir.to_string_lossy(),
            socket: &self.socket.to_string_lossy(),
            port: &self.port.to_string(),
        })
    }

    /// Program and arguments.
    pub(crate) fn argv(&self) -> Vec<String> {
        self.with_values(|values| self.service.command.iter().map(|word| word.fill(values)).collect())
    }

    /// The whole environment: `base`, the service's, the instance's own; what the daemon decides wins.
    pub(crate) fn env(&self, base: &[(String, String)]) -> Vec<(String, String)> {
        let own = instance_dir(self.data_dir, self.name).to_string_lossy().into_owned();
        let mut env: BTreeMap<String, String> = base.iter().cloned().collect();
        env.insert("HOME".into(), own.clone());
        self.with_values(|values| {
            env.extend(self.service.env.iter().map(|(key, value)| (key.clone(), value.fill(values))));
        });
        env.extend(self.env.clone());
        env.extend([
            ("SOCKET_PATH".into(), self.socket.to_string_lossy().into_owned()),
            ("PORT".into(), self.port.to_string()),
            ("TENEMENT_SERVICE".into(), self.name.service.to_string()),
            ("TENEMENT_ID".into(), self.name.id.to_string()),
            ("TENEMENT_INSTANCE".into(), self.name.to_string()),
            ("DATA_DIR".into(), own),
        ]);
        env.into_iter().collect()
    }
}

/// Where an instance keeps its data.
pub(crate) fn instance_dir(data_dir: &Path, name: &InstanceName) -> PathBuf {
    data_dir.join(name.service.as_str()).join(name.id.as_str())
}

/// Where an instance is asked to listen.
pub(crate) fn socket_path(data_dir: &Path, name: &InstanceName, service: &Service) -> PathBuf {
    let data_dir = data_dir.to_string_lossy();
    let values = Values {
        name: name.service.as_str(),
        id: name.id.as_str(),
        data_dir: &data_dir,
        socket: "",
        port: "",
    };
    PathBuf::from(service.socket.fill(&values))
}

#[cfg(test)]
mod tests {
    use tenement_core::config::{template::Template, testing};

    use super::*;

    fn env_of(facts: &Facts<'_>) -> BTreeMap<String, String> {
        facts.env(&[("PATH".into(), "/bin".into())]).into_iter().collect()
    }

    #[test]
    fn what_the_daemon_decides_wins_and_nothing_else_comes_in() {
        let mut service = testing::service("api");
        service.env.insert("PORT".into(), Template::literal("1"));
        service.env.insert("A".into(), Template::literal("service"));
        let own = BTreeMap::from([("A".into(), "own".into()), ("TENEMENT_ID".into(), "forged".into())]);
        let name = "api:u1".parse().unwrap();
        let facts = Facts {
            name: &name,
            service: &service,
            data_dir: Path::new("/d"),
            socket: Path::new("/s"),
            port: 30_001,
            env: &own,
        };
        let env = env_of(&facts);
        let keys: Vec<_> = env.keys().map(String::as_str).collect();
        let expected = [
            "A",
            "DATA_DIR",
            "HOME",
            "PATH",
            "PORT",
            "SOCKET_PATH",
            "TENEMENT_ID",
            "TENEMENT_INSTANCE",
            "TENEMENT_SERVICE",
        ];
        assert_eq!(keys, expected);
        assert_eq!((env["A"].as_str(), env["PORT"].as_str()), ("own", "30001"));
        assert_eq!((env["TENEMENT_ID"].as_str(), env["DATA_DIR"].as_str()), ("u1", "/d/api/u1"));
    }
}
