//! Retries: the attempts at a link, the pauses between them, and the log lines about them.
//!
//! Owns the loop of a thread that keeps one link. It never makes the link itself.
//!
//! Invariant: no attempt follows another without a pause, and the same trouble is logged once.

use crate::{
    bus::{
        config::RedisConfig,
        link::{LinkError, Role},
    },
    clock,
};
use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

/// A thread that keeps one link to Redis.
pub(super) trait LinkThread {
    /// Makes a link and serves it until it ends.
    fn connect_and_serve(&mut self) -> Result<Infallible, LinkError>;
    /// Whether no further link is wanted.
    fn is_over(&self) -> bool;
    /// Logs why the link ended; returns the pause before the next attempt.
    fn link_ended(&mut self, reason: &LinkError) -> Duration;
    /// Waits for this long at most, and does the work that needs no link.
    fn pause(&mut self, timeout: Duration) -> Result<(), LinkError>;
}

/// Runs a thread until the bus is stopped or the thread says it is over.
pub(super) fn keep_link(mut thread: impl LinkThread) {
    loop {
        let Err(reason) = thread.connect_and_serve();
        if matches!(reason, LinkError::Stopped) || thread.is_over() {
            return;
        }
        let until = clock::now() + thread.link_ended(&reason);
        while let left = until.saturating_duration_since(clock::now())
            && !left.is_zero()
        {
            if thread.pause(left).is_err() {
                return;
            }
        }
    }
}

/// The pauses between attempts: 50 ms doubling to 1 s, each up to a quarter longer or shorter so that the nodes of a
/// cluster do not come back in step.
pub(super) struct Backoff {
    next_ms: u64,
}

impl Backoff {
    const FIRST_MS: u64 = 50;
    const LAST_MS: u64 = 1_000;

    pub(super) fn new() -> Backoff {
        Backoff { next_ms: Backoff::FIRST_MS }
    }

    /// A link that was live since `live_since` ended. If it lasted, the pauses start over; one that is accepted and
    /// cut again and again is not worth trying more often than one that is refused.
    pub(super) fn link_ended(&mut self, live_since: Option<Instant>) {
        let lasting = Duration::from_millis(Backoff::LAST_MS);
        if live_since.is_some_and(|since| clock::now() - since > lasting) {
            *self = Backoff::new();
        }
    }

    pub(super) fn next_pause(&mut self) -> Duration {
        let percent = 75 + u64::from(getrandom::u32().unwrap_or(25) % 51);
        let pause = Duration::from_millis(self.next_ms * percent / 100);
        self.next_ms = (self.next_ms * 2).min(Backoff::LAST_MS);
        pause
    }
}

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

    #[test]
    fn pauses_grow_to_a_second_and_start_over() {
        let mut backoff = Backoff::new();
        for expected_ms in [50, 100, 200, 400, 800, 1_000, 1_000] {
            let pause_ms = backoff.next_pause().as_millis();
            assert!((expected_ms * 3 / 4..=expected_ms * 5 / 4).contains(&pause_ms), "{pause_ms}");
        }
        backoff.link_ended(Some(clock::now()));
        assert!(backoff.next_pause() > Duration::from_millis(700), "it did not last");
        backoff.link_ended(clock::now().checked_sub(Duration::from_secs(2)));
        assert!(backoff.next_pause() < Duration::from_millis(63));
    }
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
