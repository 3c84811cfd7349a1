//! The address of Redis, the login, and the bounds of the bus's queues.
//!
//! Owns the parsing of `redis://[user:password@]host:port/db`. It never connects.
//!
//! Invariant: the password appears in no `Debug`, no `Display` and no error.

use crate::authority::authority;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use std::{fmt, str::FromStr};

/// The address of Redis, this node's login there, and the bounds of the bus's queues.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisConfig {
    /// A name or an address, without the brackets of IPv6.
    pub host: String,
    /// TCP port; 6379 when the URL names none.
    pub port: u16,
    /// Database number. Channels are shared by all databases; it matters for streams.
    pub db: u32,
    /// ACL user; `None` is Redis's `default` user.
    pub user: Option<String>,
    /// Password; `None` sends no AUTH.
    pub password: Option<String>,
    /// The name `CLIENT LIST` shows, followed by `-subscriber` or `-publisher`. No spaces.
    pub client_name: String,
    /// The stream that backends read.
    pub stream: String,
    /// Bound of the publications that Redis has not answered for: channel, payload and the entry itself.
    pub publish_queue_bytes_max: usize,
    /// Bound of the events the loop has not taken, in number.
    pub event_queue_max: usize,
    /// Bound of the events the loop has not taken, in bytes. A larger single message passes when it is alone.
    pub event_queue_bytes_max: usize,
}

impl RedisConfig {
    fn from_info(info: &ConnectionInfo) -> Result<RedisConfig, RedisUrlError> {
        let ConnectionAddr::Tcp(host, port) = info.addr() else { return Err(RedisUrlError::Form) };
        let login = info.redis_settings();
        if login.username().is_some() && login.password().is_none() {
            return Err(RedisUrlError::UserWithoutPassword);
        }
        Ok(RedisConfig {
            host: host.clone(),
            port: *port,
            db: u32::try_from(login.db()).map_err(|_| RedisUrlError::Database)?,
            user: login.username().map(str::to_owned),
            password: login.password().map(str::to_owned),
            client_name: "moorline".to_owned(),
            stream: "moorline:events".to_owned(),
            publish_queue_bytes_max: 64 << 20,
            event_queue_max: 65_536,
            event_queue_bytes_max: 64 << 20,
        })
    }
}

impl FromStr for RedisConfig {
    type Err = RedisUrlError;

    fn from_str(url: &str) -> Result<RedisConfig, RedisUrlError> {
        match url.split_once("://").map(|(scheme, _)| scheme) {
            Some("redis") => {}
            Some("rediss") => return Err(RedisUrlError::Tls),
            Some("unix" | "redis+unix") => {
                return Err(RedisUrlError::UnixSocket);
            }
            _ => return Err(RedisUrlError::Form),
        }
        // A password with a raw `#` or `?` would end as a wrong host, and then in a log.
        if url.contains(['#', '?']) {
            return Err(RedisUrlError::QueryOrFragment);
        }
        let parsed = redis::parse_redis_url(url).ok_or(RedisUrlError::Form)?;
        let db = parsed.path().trim_start_matches('/');
        if !db.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(RedisUrlError::Database);
        }
        RedisConfig::from_info(&parsed.into_connection_info().map_err(|_| RedisUrlError::Form)?)
    }
}

/// The server's address and database, the part that may be shown.
impl fmt::Display for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", authority(&self.host, self.port), self.db)
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("server", &self.to_string())
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("client_name", &self.client_name)
            .field("stream", &self.stream)
            .field("publish_queue_bytes_max", &self.publish_queue_bytes_max)
            .field("event_queue_max", &self.event_queue_max)
            .field("event_queue_bytes_max", &self.event_queue_bytes_max)
            .finish()
    }
}

/// The refusal of a Redis URL: one sentence that quotes nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisUrlError {
    /// It does not have the form of one.
    Form,
    /// Its database is not a number.
    Database,
    /// It has a user without a password.
    UserWithoutPassword,
    /// It has a query or a fragment.
    QueryOrFragment,
    /// It asks for TLS.
    Tls,
    /// It names a Unix socket.
    UnixSocket,
}

impl fmt::Display for RedisUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RedisUrlError::Form => "the Redis URL must look like redis://[user:password@]host:port/db",
            RedisUrlError::Database => {
                "the database in the Redis URL must be a number, as in redis://host:port/0"
            }
            RedisUrlError::UserWithoutPassword => "the Redis URL has a user without a password",
            RedisUrlError::QueryOrFragment => {
                "the Redis URL takes no query or fragment; write # as %23 and ? as %3F in a password"
            }
            RedisUrlError::Tls => "Redis over TLS (rediss://) is not supported yet",
            RedisUrlError::UnixSocket => {
                "Redis over a Unix socket is not supported; use redis://host:port/db"
            }
        })
    }
}

impl std::error::Error for RedisUrlError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> RedisConfig {
        url.parse().unwrap()
    }

    #[test]
    fn every_part_is_read() {
        let config = parse("redis://anna:s%40crt@redis.example:6390/3");
        assert_eq!((config.host.as_str(), config.port, config.db), ("redis.example", 6390, 3));
        assert_eq!(config.user.as_deref(), Some("anna"));
        assert_eq!(config.password.as_deref(), Some("s@crt"));
    }

    #[test]
    fn port_database_and_login_may_be_left_out() {
        let config = parse("redis://127.0.0.1");
        assert_eq!((config.port, config.db, config.user, config.password), (6379, 0, None, None));
        assert_eq!(parse("redis://127.0.0.1:7000/").port, 7000);
    }

    #[test]
    fn a_password_needs_no_user() {
        let config = parse("redis://:secret@127.0.0.1:6379/0");
        assert_eq!((config.user.as_deref(), config.password.as_deref()), (None, Some("secret")));
    }

    #[test]
    fn an_ipv6_address_loses_its_brackets_and_gets_them_back_when_shown() {
        let config = parse("redis://[::1]:6379/0");
        assert_eq!(config.host, "::1");
        assert_eq!(config.to_string(), "[::1]:6379/0");
    }

    #[test]
    fn bad_urls_are_refused_with_a_sentence_that_quotes_nothing() {
        let cases = [
            ("", "must look like"),
            ("127.0.0.1:6379", "must look like"),
            ("http://:sesame@127.0.0.1", "must look like"),
            ("redis://", "must look like"),
            ("redis://:sesame@127.0.0.1:99999/0", "must look like"),
            ("redis://user:sesame/x@127.0.0.1:6379/0", "must look like"),
            ("redis://user@127.0.0.1:6379/0", "without a password"),
            ("redis://:sesame@127.0.0.1:6379/sesame", "must be a number"),
            ("redis://:sesame@127.0.0.1:6379/-1", "must be a number"),
            ("redis://:sesame@127.0.0.1:6379/99999999999", "must be a number"),
            ("redis://user:1234#sesame@127.0.0.1:6379/0", "%23"),
            ("redis://:sesame@127.0.0.1:6379/0?protocol=resp3", "no query"),
            ("rediss://:sesame@127.0.0.1:6379/0", "TLS"),
            ("unix:///run/redis.sock", "Unix socket"),
        ];
        for (url, expected) in cases {
            let error = url.parse::<RedisConfig>().unwrap_err().to_string();
            assert!(error.contains(expected), "{url}: {error}");
            assert!(!error.contains("sesame"), "{url}: {error}");
        }
    }

    #[test]
    fn the_password_is_never_shown() {
        let config = parse("redis://anna:sesame@127.0.0.1:6379/0");
        let shown = format!("{config:?} {config:#?} {config}");
        assert!(!shown.contains("sesame"), "{shown}");
        assert!(shown.contains("anna"), "{shown}");
    }
}
