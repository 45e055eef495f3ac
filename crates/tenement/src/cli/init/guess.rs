//! How the app of a folder is started, as far as that can be seen.

use std::{fs, path::Path};

use serde_json::Value;

/// The command, and of what was made out of it.
pub(super) fn command(folder: &Path) -> (String, &'static str) {
    let has = |file: &str| folder.join(file).exists();
    let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
    if has("manage.py") {
        // Django's own server knows no Unix socket.
        return ("python3 manage.py runserver --noreload 127.0.0.1:{port}".into(), "manage.py");
    }
    if let Some(script) = ["app.py", "main.py", "server.py"].into_iter().find(|file| has(file)) {
        return (format!("python3 {script}"), script);
    }
    if has("package.json") {
        let scripts = ["server.js", "app.js", "index.js"].into_iter().find(|file| has(file));
        return (node(&read("package.json"), scripts), "package.json");
    }
    if has("Cargo.toml") {
        let name = package(&read("Cargo.toml")).or_else(|| member(folder)).unwrap_or_else(|| "app".into());
        return (format!("./target/release/{name}"), "Cargo.toml");
    }
    if has("go.mod") {
        return (format!("./{}", module(&read("go.mod")).unwrap_or_else(|| "app".into())), "go.mod");
    }
    ("./server".into(), "nothing: write the app's own command here")
}

/// Of a `package.json`: its start script when that is a plain `node …`, else `main`, else npm starts it.
fn node(manifest: &str, script: Option<&str>) -> String {
    let manifest: Value = serde_json::from_str(manifest).unwrap_or_default();
    let text =
        |value: &Value| value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    // What only a shell understands, npm hands to one.
    let plain = |text: &str| !text.contains(['&', '|', ';', '$', '<', '>', '`', '=', '*']);
    match text(&manifest["scripts"]["start"]) {
        Some(start) if start.starts_with("node ") && plain(&start) => start,
        Some(_) => "npm start".into(),
        None => {
            let main = text(&manifest["main"]).or_else(|| script.map(str::to_owned));
            format!("node {}", main.unwrap_or_else(|| "server.js".into()))
        }
    }
}

/// The name in `[package]`, however it is spaced.
fn package(manifest: &str) -> Option<String> {
    let mut section = "";
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        let value = line.split_once('=').filter(|(key, _)| section == "[package]" && key.trim() == "name");
        if let Some((_, value)) = value {
            let value = value.split('#').next().unwrap_or_default().trim();
            return Some(value.trim_matches(['"', '\'']).to_owned()).filter(|name| !name.is_empty());
        }
    }
    None
}

/// Of a workspace: the first member that is a program, by name.
fn member(folder: &Path) -> Option<String> {
    let folders = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
        folders.sort();
        folders
    };
    let below = folders(folder);
    let all = below.iter().cloned().chain(below.iter().flat_map(|folder| folders(folder)));
    let programs = all.filter(|folder| folder.join("src/main.rs").exists());
    programs.filter_map(|folder| package(&fs::read_to_string(folder.join("Cargo.toml")).ok()?)).next()
}

/// What `go build` calls the program: the last part of the module's path that is no version.
fn module(file: &str) -> Option<String> {
    let path = file.lines().find_map(|line| line.trim().strip_prefix("module "))?.trim();
    let is_version = |part: &&str| {
        part.strip_prefix('v')
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    let name = path.trim_matches('"').rsplit('/').find(|part| !is_version(part))?;
    Some(name.to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_name_the_command() {
        assert_eq!(node(r#"{"scripts":{"start":"node src/x.js --fast"}}"#, None), "node src/x.js --fast");
        assert_eq!(node(r#"{"scripts":{"start":"next start"},"main":"x.js"}"#, None), "npm start");
        assert_eq!(node(r#"{"main":"lib/x.js"}"#, Some("app.js")), "node lib/x.js");
        assert_eq!([node("{}", Some("app.js")), node("no", None)], ["node app.js", "node server.js"]);
        assert_eq!(package("[lib]\nname='no'\n[package]\nname='it' # so\n").as_deref(), Some("it"));
        assert_eq!(package("[workspace]\nmembers = ['a']\n"), None);
        assert_eq!(module("module example.com/shop/v2\n\ngo 1.22\n").as_deref(), Some("shop"));
    }
}
