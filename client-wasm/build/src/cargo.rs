//! Cargo as the build uses it: for the metadata of the crate, and to compile it. It never writes a file of the package.

use crate::run::{Failure, command, output, run};
use serde_json::Value;
use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

const CRATE: &str = "moorline-client";
const TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "wasm";

/// The metadata of the crate in Cargo.toml, of which package.json is made.
pub(crate) struct Metadata {
    pub(crate) version: String,
    pub(crate) license: String,
    pub(crate) description: String,
    pub(crate) target_directory: PathBuf,
}

pub(crate) fn metadata(client: &Path) -> Result<Metadata, Failure> {
    let manifest = client.join("Cargo.toml").display().to_string();
    let args = ["metadata", "--no-deps", "--format-version", "1", "--locked", "--manifest-path", &manifest];
    let text = output(&mut command(cargo(), &args), "its own words are above.")?;
    let all: Value =
        serde_json::from_slice(&text).map_err(|error| format!("cargo metadata is no JSON: {error}."))?;
    let packages = all["packages"].as_array().into_iter().flatten();
    let package = packages.into_iter().find(|package| package["name"] == CRATE);
    let package = package.ok_or_else(|| format!("{manifest} has no package {CRATE}."))?;
    Ok(Metadata {
        version: text_of(package, "version")?,
        license: text_of(package, "license")?,
        description: text_of(package, "description")?,
        target_directory: text_of(&all, "target_directory")?.into(),
    })
}

fn text_of(value: &Value, key: &str) -> Result<String, Failure> {
    value[key].as_str().map(str::to_owned).ok_or_else(|| format!("the manifest of {CRATE} has no `{key}`."))
}

/// Compiles the crate; returns the module's path.
pub(crate) fn compile(client: &Path, meta: &Metadata, features: &str) -> Result<PathBuf, Failure> {
    let manifest = client.join("Cargo.toml").display().to_string();
    let args = ["build", "--lib", "--target", TARGET, "--profile", PROFILE, "--features", features];
    let mut build = command(cargo(), &args);
    build.args(["--manifest-path", &manifest, "--config", &nameless_paths()]);
    let advice =
        format!("its own words are above; if it misses the target, run `rustup target add {TARGET}`.");
    run(&mut build, &advice)?;
    let file = format!("{}.wasm", CRATE.replace('-', "_"));
    Ok(meta.target_directory.join(TARGET).join(PROFILE).join(file))
}

/// A setting by which the module does not tell where the sources of other crates lay on this machine: the places of
/// panics are texts in it. It also makes equal modules on different machines.
fn nameless_paths() -> String {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let sources = home.and_then(|home| fs::read_dir(home.join("registry/src")).ok());
    let folders = sources.into_iter().flatten().flatten();
    let flags: Vec<Value> = folders
        .map(|folder| format!("--remap-path-prefix={}=crates", folder.path().display()).into())
        .collect();
    format!("target.{TARGET}.rustflags={}", Value::from(flags))
}

/// The cargo that runs this program, or the one on the PATH.
fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
