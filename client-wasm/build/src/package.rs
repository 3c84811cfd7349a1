//! The package around the bundle: package.json, the types, and the two texts that npm shows. It never builds the
//! bundle.

use crate::{cargo::Metadata, files, run::Failure};
use serde_json::Value;
use std::{fs, path::Path};

/// The one file of the package that runs.
pub(crate) const BUNDLE: &str = "moorline-client.js";
const TYPES: &str = "index.d.ts";

pub(crate) fn write(client: &Path, out: &Path, meta: &Metadata) -> Result<(), Failure> {
    copy(&client.join("js").join(TYPES), &out.join(TYPES))?;
    copy(&client.join("README.md"), &out.join("README.md"))?;
    copy(&client.join("../LICENSE"), &out.join("LICENSE"))?;
    files::write(&out.join("package.json"), package_json(meta))
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::copy(from, to).map(drop).map_err(|error| format!("{} cannot be copied: {error}.", from.display()))
}

/// Written by hand and not by a JSON library, because people read it: the important fields come first.
fn package_json(meta: &Metadata) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    format!(
        r#"{{
  "name": "moorline-client",
  "version": {version},
  "description": {description},
  "keywords": ["moorline", "socket.io", "engine.io", "websocket", "realtime", "webassembly", "wasm", "client"],
  "license": {license},
  "type": "module",
  "sideEffects": false,
  "types": "./{TYPES}",
  "exports": {{
    ".": {{
      "types": "./{TYPES}",
      "default": "./{BUNDLE}"
    }},
    "./package.json": "./package.json"
  }},
  "files": ["{BUNDLE}", "{TYPES}"],
  "engines": {{
    "node": ">=18"
  }}
}}
"#,
        version = quoted(&meta.version),
        description = quoted(&meta.description),
        license = quoted(&meta.license),
    )
}
