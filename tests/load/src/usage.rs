//! The CPU time and memory of a process, as the kernel accounts for them.
//!
//! CPU time comes from the scheduler's own account (`schedstat`, nanoseconds, user and system together), thread by
//! thread; none of the processes measured ends a thread while it is. Memory comes from `smaps_rollup`.

use crate::outcome::Result;
use std::fs;

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Resident, shared pages counted whole.
    pub(crate) rss_bytes: u64,
    /// Resident, shared pages counted by share.
    pub(crate) pss_bytes: u64,
}

/// CPU time of all threads of a process, in nanoseconds.
pub(crate) fn cpu_ns(process: u32) -> Result<u64> {
    let mut sum_ns = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread may end between the listing and the reading.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        sum_ns += first_number(&text).ok_or("this kernel keeps no schedstat")?;
    }
    Ok(sum_ns)
}

pub(crate) fn memory(process: u32) -> Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(first_number).map(|kibibytes| kibibytes * 1024).ok_or("smaps_rollup lacks a field")
    };
    Ok(Memory { rss_bytes: field("Rss:")?, pss_bytes: field("Pss:")? })
}

/// How many files this process may open.
pub(crate) fn open_files_max() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/limits")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(first_number).ok_or_else(|| "/proc/self/limits lacks a line".into())
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}
