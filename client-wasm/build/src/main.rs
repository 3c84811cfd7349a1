//! Builds the npm package `moorline-client`: `cargo run -p moorline-client-build -- [--features LIST] [--out DIR]`.
//!
//! It owns the way from the crate `moorline-client` and the files of `client-wasm/js` to a folder that can be
//! published: cargo, then wasm-bindgen, then binaryen, then esbuild. It never installs a tool besides those of
//! `client-wasm/package.json`, and writes nothing outside `target`, the folder asked for (`client-wasm/pkg` unless
//! told) and `client-wasm/node_modules`.
//!
//! `js/index.js` may import the module `moorline-wasm`, which exists only while esbuild bundles. It is an alias for a
//! folder under `target`, so that two variants never share a file:
//!
//! ```js
//! import { initSync, … } from "moorline-wasm/moorline_client.js"; // wasm-bindgen's glue
//! import bytes from "moorline-wasm/bytes.js"; // makes the module, a Uint8Array, when it is called
//! ```
//!
//! A file of `js` that the crate imports (`#[wasm_bindgen(module = "/js/…")]`) is the same module to `js/index.js`
//! and to the glue: what one of them leaves in it the other finds.
//!
//! `VERSION` stands for the package's version, a string, in every file. The result is one file without an import: the
//! module travels in it as text, so a bundler has nothing to resolve and a page nothing to fetch.
//!
//! `--features LIST` adds cargo features to `npm`, for variants that only tests want.

mod cargo;
mod files;
mod npm;
mod package;
mod run;
mod text;

use crate::{
    files::{emptied, entries, made, read, size, write},
    package::BUNDLE,
    run::{Failure, say},
};
use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
};
use wasm_bindgen_cli_support::Bindgen;

/// The name of wasm-bindgen's two files: the crate's.
const GLUE_NAME: &str = "moorline_client";

fn main() -> ExitCode {
    match Request::parse(env::args().skip(1)).and_then(|request| build(&request)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("client: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The request on the command line.
struct Request {
    features: String,
    out: PathBuf,
}

impl Request {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut request = Self { features: "npm".into(), out: client().join("pkg") };
        while let Some(flag) = args.next() {
            let value = args.next().ok_or_else(|| format!("`{flag}` stands alone. {USAGE}"))?;
            match flag.as_str() {
                "--features" => request.features = format!("npm,{value}"),
                "--out" => request.out = value.into(),
                _ => return Err(format!("`{flag}` is not known. {USAGE}")),
            }
        }
        Ok(request)
    }
}

const USAGE: &str = "The arguments are [--features LIST] [--out DIR].";

/// The folder `client-wasm`.
fn client() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

fn build(request: &Request) -> Result<(), Failure> {
    say(&format!("compiling with the features {}", request.features));
    let meta = cargo::metadata(&client())?;
    let compiled = cargo::compile(&client(), &meta, &request.features)?;
    let generated = meta.target_directory.join("moorline-client").join(request.features.replace(',', "+"));

    let tools = npm::Tools::ready(&client())?;
    let module = bind(&compiled, &generated)?;
    reunite(&client(), &generated)?;
    say("shrinking");
    tools.shrink(&module)?;
    write(&generated.join("bytes.js"), text::javascript(&read(&module)?))?;
    say("bundling");
    made(&request.out)?;
    let bundle = request.out.join(BUNDLE);
    tools.bundle(&client().join("js/index.js"), &generated, &meta.version, &bundle)?;
    package::write(&client(), &request.out, &meta)?;

    say(&format!("{} is ready", request.out.display()));
    say(&format!(
        "module {} bytes, bundle {} bytes, {} after gzip -9",
        size(&module)?,
        size(&bundle)?,
        tools.gzipped(&bundle)?
    ));
    Ok(())
}

/// Writes wasm-bindgen's glue and the module that goes with it; returns the module's path.
fn bind(compiled: &Path, folder: &Path) -> Result<PathBuf, Failure> {
    say("binding");
    emptied(folder)?;
    Bindgen::new()
        .input_path(compiled)
        .out_name(GLUE_NAME)
        .web(true)
        .and_then(|bindgen| {
            bindgen.typescript(false).omit_default_module_path(true);
            bindgen.remove_name_section(true).remove_producers_section(true).generate(folder)
        })
        .map_err(|error| format!("wasm-bindgen could not read {}: {error:#}", compiled.display()))?;
    Ok(folder.join(format!("{GLUE_NAME}_bg.wasm")))
}

/// wasm-bindgen copies the files that the crate imports; each copy is replaced by the way to its original, so that
/// there is one of it in the bundle.
fn reunite(client: &Path, generated: &Path) -> Result<(), Failure> {
    // One folder per crate that imports files; named after it, and there only if there are any.
    for copies in entries(&generated.join("snippets")) {
        for copy in entries(&copies.join("js")) {
            let original = client.join("js").join(copy.file_name().unwrap_or_default());
            let forward =
                format!("export * from {};\n", serde_json::Value::from(original.display().to_string()));
            if original.exists() {
                write(&copy, forward)?;
            }
        }
    }
    Ok(())
}
