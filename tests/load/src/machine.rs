//! The machine and the versions a figure was measured on; without them the figure says nothing.

use crate::{options::Options, outcome::Result, process::output};
use std::{env, fs, thread};

/// Cores, memory, kernel, and what is compared, one line each.
pub(crate) fn description(options: &Options, open_files_max: u64) -> Result<String> {
    let cores = thread::available_parallelism()?;
    let memory_mib = meminfo_kib("MemTotal:").ok_or("/proc/meminfo lacks a line")? / 1024;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let congestion = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control")?;
    let cpu = cpu_model().unwrap_or_default();
    let moorline = output(&options.moorline, &["--version"])?;
    let other = match &options.against {
        Some(other) => output(other, &["--version"])?,
        None => {
            let versions = output("node", &[&options.peer_script(), "versions"])?;
            format!("{versions} (adapter: {:?})", options.peer_adapter)
        }
    };
    let redis = output(&options.redis_server, &["--version"])?;
    let redis = redis.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or_default();
    let command = env::args().collect::<Vec<_>>().join(" ");
    Ok(format!(
        "{cores} cores ({cpu}), {memory_mib} MiB of RAM, Linux {}, TCP {}, {open_files_max} open files per process\n\
         {moorline} beside {other}; Redis {redis}\n{command}",
        kernel.trim(),
        congestion.trim(),
    ))
}

/// The load averages over 1, 5 and 15 minutes.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

fn meminfo_kib(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

fn cpu_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
