//! Puts the web UI into the program.
//!
//! ```text
//!   dashboard/dist/ ─► each file, with what stands beside it packed (.br, .gz) ─► OUT_DIR/dashboard.rs: a table
//!         └── not built, or not there ─► a page that says how to build it ───────────────┘
//! ```

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    env,
    error::Error,
    fmt::Write,
    fs,
    hash::Hasher,
    path::{Path, PathBuf},
};

/// Where the web UI is built, from this package's folder.
const BUILT: &str = "../../dashboard/dist";
/// What stands in for it.
const UNBUILT: &str = "src/api/assets/unbuilt.html";
/// What is served at `/`.
const INDEX: &str = "index.html";

/// Files by their names, with `/` between folders.
type Files = BTreeMap<String, PathBuf>;

fn main() -> Result<(), Box<dyn Error>> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    println!("cargo::rerun-if-changed=build.rs");
    let built = here.join(BUILT);
    let mut files = Files::new();
    // What is watched and is not there makes cargo build everything anew each time: the first time it is `make dashboard`
    // that touches this file.
    if built.is_dir() {
        println!("cargo::rerun-if-changed={}", built.display());
        collect(&built, "", &mut files)?;
    }
    if !files.contains_key(INDEX) {
        println!("cargo::rerun-if-changed={UNBUILT}");
        println!("cargo::warning=the dashboard is not built: '/' will say how to ('make dashboard')");
        files = Files::from([(INDEX.to_owned(), here.join(UNBUILT))]);
    }
    let mut table = String::from("&[\n");
    for (name, path) in &files {
        if packed_of(name, &files).is_none() {
            entry(&mut table, name, path, &files)?;
        }
    }
    table.push_str("]\n");
    #[allow(clippy::disallowed_methods, reason = "what is generated, for this build alone")]
    fs::write(Path::new(&env::var("OUT_DIR")?).join("dashboard.rs"), table)?;
    Ok(())
}

/// Everything below a folder but what is hidden.
fn collect(folder: &Path, above: &str, files: &mut Files) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).ok_or("a name that is no UTF-8")?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.starts_with('.') {
            continue;
        }
        if !name.bytes().all(plain) {
            return Err(format!("'{}': such a name can't be part of an address", path.display()).into());
        }
        let name = format!("{above}{name}");
        match path.is_dir() {
            true => collect(&path, &format!("{name}/"), files)?,
            false => drop(files.insert(name, path.canonicalize()?)),
        }
    }
    Ok(())
}

/// The file of which this one is a packed form.
fn packed_of<'name>(name: &'name str, files: &Files) -> Option<&'name str> {
    let plain = name.strip_suffix(".br").or_else(|| name.strip_suffix(".gz"))?;
    files.contains_key(plain).then_some(plain)
}

fn entry(table: &mut String, name: &str, path: &Path, files: &Files) -> Result<(), Box<dyn Error>> {
    let bytes = |path: &Path| format!("include_bytes!({:?})", path.display().to_string());
    let packed = |ending: &str| match files.get(&format!("{name}.{ending}")) {
        Some(path) => format!("Some({})", bytes(path)),
        None => "None".to_owned(),
    };
    let mut hasher = DefaultHasher::new();
    hasher.write(&fs::read(path)?);
    let (plain, br, gzip, tag) = (bytes(path), packed("br"), packed("gz"), hasher.finish());
    writeln!(
        table,
        "    File {{ name: {name:?}, tag: \"{tag:016x}\", plain: {plain}, br: {br}, gzip: {gzip} }},"
    )?;
    Ok(())
}
