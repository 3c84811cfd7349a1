//! The files served beside the sockets, read once at the start.
//!
//! Owns their bytes. A request is a look-up in a map, so no request can reach outside the folder or make the loop wait
//! for a disk. Changed files are seen after a restart.

use crate::wire::http::Response;
use std::{collections::BTreeMap, fs, io, path::Path};

/// The most bytes of all files together: they stay in memory.
const BYTES_MAX: u64 = 64 << 20;

pub(crate) struct Assets {
    files: BTreeMap<String, File>,
}

struct File {
    content_type: &'static str,
    /// Kept for the life of the process, so that answers borrow it.
    body: &'static [u8],
}

impl Assets {
    /// Reads a folder and everything below it; links and names starting with a dot are left out.
    ///
    /// # Errors
    /// One sentence that names the flag and the file.
    pub(crate) fn read(folder: &Path) -> Result<Assets, String> {
        let mut assets = Assets { files: BTreeMap::new() };
        let mut bytes_left = BYTES_MAX;
        assets
            .read_folder(folder, "/", &mut bytes_left)
            .map_err(|error| format!("--assets {} cannot be read: {error}", folder.display()))?;
        Ok(assets)
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str, bytes_left: &mut u64) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type()?;
            if name.starts_with('.') || kind.is_symlink() {
                continue;
            }
            if kind.is_dir() {
                self.read_folder(&entry.path(), &format!("{prefix}{name}/"), bytes_left)?;
            } else {
                let size = entry.metadata()?.len();
                *bytes_left = bytes_left.checked_sub(size).ok_or_else(|| {
                    io::Error::other(format!("its files are over {BYTES_MAX} bytes together"))
                })?;
                let file = File { content_type: content_type(&name), body: fs::read(entry.path())?.leak() };
                self.files.insert(format!("{prefix}{name}"), file);
            }
        }
        Ok(())
    }

    /// The file at a request path; a folder answers with its `index.html`.
    pub(crate) fn response(&self, path: &str) -> Response {
        // File names may hold spaces and umlauts, which browsers send encoded.
        let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
        let found = if path.ends_with('/') {
            self.files.get(&format!("{path}index.html"))
        } else {
            self.files.get(&*path)
        };
        match found {
            Some(file) => Response::new(200).body(file.content_type, file.body).cache_control("no-cache"),
            None => Response::text(404, "There is no such file."),
        }
    }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" | "htm" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
