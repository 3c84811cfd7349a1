//! `host:port` as URLs write it.
//!
//! Owns the brackets of IPv6. It never parses an authority and resolves no name.

/// `host:port`; `host` is a name or an address, IPv6 without the brackets it gets here.
pub(crate) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_gets_brackets_and_nothing_else_does() {
        assert_eq!(authority("::1", 3000), "[::1]:3000");
        assert_eq!(authority("127.0.0.1", 80), "127.0.0.1:80");
        assert_eq!(authority("redis.example", 6379), "redis.example:6379");
    }
}
