//! The tools that come from npm: binaryen and esbuild, at the versions that `client-wasm/package-lock.json` fixes.
//!
//! It never runs a `wasm-opt` from the PATH: old ones, as Debian has, exit 0 and leave a module that no browser starts.

use crate::run::{Failure, command, output, run, say};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

/// The folder of programs that npm installed.
pub(crate) struct Tools {
    programs: PathBuf,
}

impl Tools {
    /// Installs the tools unless what is there is what the lock file asks for.
    pub(crate) fn ready(client: &Path) -> Result<Self, Failure> {
        let modules = client.join("node_modules");
        if age(&modules.join(".package-lock.json")) < age(&client.join("package-lock.json")) {
            say("installing binaryen and esbuild with npm");
            let mut install = command("npm", &["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
            run(install.current_dir(client), "its own words are above; npm comes with Node.js 18 or later.")?;
        }
        Ok(Self { programs: modules.join(".bin") })
    }

    /// Makes the module smaller, in place.
    pub(crate) fn shrink(&self, module: &Path) -> Result<(), Failure> {
        let mut shrink = self.program("wasm-opt", &["-Oz", "--strip-debug", "--strip-target-features"]);
        run(shrink.arg(module).arg("-o").arg(module), ADVICE)
    }

    /// Makes one file of `entry` and all that it imports.
    pub(crate) fn bundle(
        &self,
        entry: &Path,
        generated: &Path,
        version: &str,
        out: &Path,
    ) -> Result<(), Failure> {
        let args = [
            "--bundle",
            "--minify",
            "--format=esm",
            "--target=es2022",
            "--log-level=warning",
            "--charset=utf8",
        ];
        let mut bundle = self.program("esbuild", &args);
        bundle.arg(entry).arg(format!("--define:VERSION=\"{version}\""));
        bundle.arg(format!("--alias:moorline-wasm={}", generated.display()));
        run(bundle.arg(format!("--outfile={}", out.display())), ADVICE)
    }

    /// How many bytes a file has after `gzip -9`. Node.js counts, since it is there anyway.
    pub(crate) fn gzipped(&self, file: &Path) -> Result<String, Failure> {
        const COUNT: &str =
            "const { gzipSync } = require('node:zlib'), { readFileSync } = require('node:fs');
            process.stdout.write(String(gzipSync(readFileSync(process.argv[1]), { level: 9 }).length));";
        let count = output(command("node", &["--eval", COUNT]).arg(file), ADVICE)?;
        Ok(String::from_utf8_lossy(&count).into_owned())
    }

    fn program(&self, name: &str, args: &[&str]) -> Command {
        command(self.programs.join(name), args)
    }
}

const ADVICE: &str =
    "its own words are above; if it is broken, remove client-wasm/node_modules and build again.";

/// When a file was written; one that is missing is older than all.
fn age(file: &Path) -> SystemTime {
    fs::metadata(file).and_then(|found| found.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}
