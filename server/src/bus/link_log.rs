//! The log lines about a link to Redis.
//!
//! Owns the last trouble that was logged. It never makes a link.
//!
//! Invariant: the same trouble is logged once, and without the password.

use crate::bus::{
    config::RedisConfig,
    link::{LinkError, Role},
};

/// The last log line about a link, so that the same trouble is logged once.
pub(super) struct LinkLog {
    role: Role,
    last: Option<String>,
}

impl LinkLog {
    pub(super) fn new(role: Role) -> LinkLog {
        LinkLog { role, last: None }
    }

    pub(super) fn link_down(&mut self, server: &RedisConfig, reason: &LinkError) {
        let reason = reason.to_string();
        if self.last.as_ref() != Some(&reason) {
            tracing::warn!(link = self.role.name(), %server, %reason, "Redis link down");
            self.last = Some(reason);
        }
    }

    pub(super) fn link_up(&mut self, server: &RedisConfig) {
        tracing::info!(link = self.role.name(), %server, "Redis link up");
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::link::{Link, LinkPoll};
    use std::{
        fmt,
        io::Write,
        sync::{Arc, Mutex},
    };

    /// Keeps every field of every event as text.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<String>>);

    impl tracing::Subscriber for Log {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            let mut text = self.0.lock().unwrap();
            event.record(&mut |field: &tracing::field::Field, value: &dyn fmt::Debug| {
                text.push_str(&format!("{field}={value:?}\n"));
            });
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }

    /// Answers every connection with `answer`, like a server that repeats its input.
    fn server(answer: &'static str) -> u16 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                stream.unwrap().write_all(answer.as_bytes()).unwrap();
            }
        });
        port
    }

    #[test]
    fn a_failed_login_is_logged_once_and_without_the_password() {
        let port = server("-ERR unknown command 'AUTH', with args beginning with: 'anna' 'sesame'\r\n");
        let config: RedisConfig = format!("redis://anna:sesame@127.0.0.1:{port}/0").parse().unwrap();
        let (mut link_poll, _waker) = LinkPoll::new(Role::Subscriber, Arc::default()).unwrap();
        let mut link_log = LinkLog::new(Role::Subscriber);
        let log = Log::default();
        tracing::subscriber::with_default(log.clone(), || {
            for _ in 0..3 {
                let reason = Link::open(&config, Role::Subscriber, &mut link_poll).err().unwrap();
                link_log.link_down(&config, &reason);
            }
        });
        let text = log.0.lock().unwrap();
        assert_eq!(text.matches("AUTH was refused: ERR").count(), 1, "{text}");
        assert!(!text.contains("sesame"), "{text}");
    }
}
