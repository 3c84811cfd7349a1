//! Files and folders of the build, with errors that say what is wrong.
//!
//! It owns no path: the caller names each. It never deletes but in a folder of the build's own.

use crate::run::Failure;
use std::{
    fs,
    path::{Path, PathBuf},
};

pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// A folder of the build's own with nothing in it, whatever an earlier build left there.
pub(crate) fn emptied(folder: &Path) -> Result<(), Failure> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .map_err(|error| format!("{} cannot be emptied: {error}.", folder.display()))?;
    }
    made(folder)
}

/// A folder that may hold what is not ours.
pub(crate) fn made(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|error| format!("{} cannot be made: {error}.", folder.display()))
}

pub(crate) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|error| format!("{} cannot be read: {error}.", file.display()))
}

pub(crate) fn write(file: &Path, text: String) -> Result<(), Failure> {
    fs::write(file, text).map_err(|error| format!("{} cannot be written: {error}.", file.display()))
}

pub(crate) fn size(file: &Path) -> Result<u64, Failure> {
    fs::metadata(file)
        .map(|found| found.len())
        .map_err(|error| format!("{} is missing: {error}.", file.display()))
}
