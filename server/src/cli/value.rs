//! The form of the value of each kind of flag; the sentence a refusal ends with.
//!
//! Owns single values only. It looks at the file system and the resolver, so that a start fails early, and changes
//! nothing there.

use ipnet::IpNet;
use moorline_core::NAMESPACE_BYTES_MAX;
use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

/// Longer is not a time-out any more, and every sum of two stays far from overflow.
const DURATION_MAX: Duration = Duration::from_hours(24);
const DURATION_MIN: Duration = Duration::from_millis(1);
const NODE_CHARS_MAX: usize = 32;
const CHANNEL_BYTES_MAX: usize = 128;
const PATH_BYTES_MAX: usize = 128;

/// An address to listen on. A name is resolved, IPv4 first, since that is what a balancer is usually told.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    const EXPECTED: &str = "expected host:port such as 127.0.0.1:3000";
    let found: Vec<SocketAddr> =
        text.to_socket_addrs().map_err(|error| format!("{EXPECTED} ({error})"))?.collect();
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| EXPECTED.to_owned())
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    duration_within(text, DURATION_MIN..=DURATION_MAX)
}

pub(super) fn duration_or_zero(text: &str) -> Result<Duration, String> {
    duration_within(text, Duration::ZERO..=DURATION_MAX)
}

pub(super) fn duration_within(text: &str, range: RangeInclusive<Duration>) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|_| "expected a duration such as 25s or 500ms")?;
    if range.contains(&duration) {
        return Ok(duration);
    }
    let [min, max] = [range.start(), range.end()].map(|&end| humantime::format_duration(end));
    Err(format!("expected {min} to {max}"))
}

pub(super) fn payload(text: &str) -> Result<usize, String> {
    count_within(text, 1024..=1 << 30)
}

/// A number per second; 0 for no bound.
pub(super) fn rate(text: &str) -> Result<usize, String> {
    count_within(text, 0..=1_000_000_000)
}

pub(super) fn count_within(text: &str, range: RangeInclusive<usize>) -> Result<usize, String> {
    let count = text.parse::<usize>().ok().filter(|count| range.contains(count));
    count.ok_or_else(|| format!("expected a number from {} to {}", range.start(), range.end()))
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(String::from("expected on or off")),
    }
}

/// A bare address is the network of that one host.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let network = network.map_err(|_| "expected a network or an address such as 10.0.0.0/8 or 127.0.0.1")?;
    Ok(network.trunc())
}

/// The name becomes the part of a session id before the first dot, by which the balancer routes.
pub(super) fn node(text: &str) -> Result<String, String> {
    let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if is_name && (1..=NODE_CHARS_MAX).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(format!("expected 1 to {NODE_CHARS_MAX} letters, digits, _ or - (it becomes part of session ids)"))
}

pub(super) fn channel(text: &str) -> Result<String, String> {
    let is_name = text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_name && (1..=CHANNEL_BYTES_MAX).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(format!("expected 1 to {CHANNEL_BYTES_MAX} printable ASCII characters without spaces"))
}

/// Begins and ends with `/`, as requests are compared with it.
pub(super) fn path(text: &str) -> Result<String, String> {
    let inner = text.trim_matches('/');
    let is_path = inner.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#%\"<>\\".contains(&byte));
    if !is_path || text.is_empty() || text.len() > PATH_BYTES_MAX || inner.contains("//") {
        return Err(format!("expected a path such as /socket.io/, of at most {PATH_BYTES_MAX} bytes"));
    }
    Ok(if inner.is_empty() { String::from("/") } else { format!("/{inner}/") })
}

/// The characters refused here are the ones that end a namespace on the wire.
pub(super) fn namespace(text: &str) -> Result<String, String> {
    let is_clean = !text.contains(|c: char| c == ',' || c == '?' || c.is_control());
    if text.starts_with('/') && is_clean && text.len() <= NAMESPACE_BYTES_MAX {
        return Ok(text.to_owned());
    }
    Err(format!("expected a name such as /chat, of at most {NAMESPACE_BYTES_MAX} bytes, without ',' and '?'"))
}

pub(super) fn folder(text: &str) -> Result<PathBuf, String> {
    Some(PathBuf::from(text))
        .filter(|path| path.is_dir())
        .ok_or_else(|| String::from("expected an existing folder"))
}

pub(super) fn file(text: &str) -> Result<PathBuf, String> {
    std::fs::File::open(text)
        .and_then(|file| file.metadata())
        .map_err(|error| format!("expected a readable file ({})", error.kind()))
        .and_then(
            |file| {
                if file.is_file() { Ok(PathBuf::from(text)) } else { Err(String::from("expected a file")) }
            },
        )
}
