//! One connection to Redis, non-blocking, and the poll its thread sleeps in.
//!
//! Owns the socket, the codec on it, what waits to be written, the login, and the pauses between attempts. It never
//! decides which commands follow the login.
//!
//! Invariant: a link sleeps only after reading and writing met `WouldBlock` (mio reports edges), and every wait for
//! an answer ends after `ANSWER_MS` without progress. The text of an error contains no secret.

use crate::{bus::config::RedisConfig, clock};
use mio::{Events, Interest, Poll, Token, Waker, net::TcpStream};
use redis::{Cmd, Parser, ServerError, Value};
use socket2::{SockRef, TcpKeepalive};
use std::{
    fmt,
    io::{self, Read, Write},
    net::{SocketAddr, ToSocketAddrs},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

const CONNECT_MS: u64 = 2_000;
/// The time an answer may take while no byte moves. With the heartbeat that asks for it, within 5 s.
pub(super) const ANSWER_MS: u64 = 4_000;
/// A sent buffer larger than this is given back.
const IDLE_BUFFER_BYTES: usize = 64 << 10;

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);

/// One of the bus's two links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Subscriber = 0,
    Publisher = 1,
}

impl Role {
    /// The name in logs and in `CLIENT LIST`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Role::Subscriber => "subscriber",
            Role::Publisher => "publisher",
        }
    }
}

/// The reason why a link ended or did not come about.
#[derive(Debug)]
pub(super) enum LinkError {
    /// The bus is being stopped.
    Stopped,
    Connection(String),
    NoAnswer,
    /// The loop gave the link up: the node's messages to itself do not come back.
    Silent,
    Refused {
        command: &'static str,
        answer: String,
    },
    NotRedis,
}

impl LinkError {
    /// Redis refused a command. The text of its answer is escaped and cut; to AUTH only the code is kept, since a
    /// server that does not know the command answers with its arguments.
    pub(super) fn refused(command: &'static str, answer: &ServerError) -> LinkError {
        let details = answer.details().filter(|_| command != "AUTH").unwrap_or_default();
        let text = format!("{} {details}", answer.code());
        let answer = text.trim_end().chars().take(200).flat_map(char::escape_default).collect();
        LinkError::Refused { command, answer }
    }
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkError::Stopped => f.write_str("the bus was stopped"),
            LinkError::Connection(reason) => f.write_str(reason),
            LinkError::NoAnswer => write!(f, "no answer for {ANSWER_MS} ms"),
            LinkError::Silent => f.write_str("this node does not hear its own messages any more"),
            LinkError::Refused { command, answer } => write!(f, "{command} was refused: {answer}"),
            LinkError::NotRedis => f.write_str("the answer is not in Redis's protocol"),
        }
    }
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> LinkError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => LinkError::Connection("the connection was closed".to_owned()),
            _ => LinkError::Connection(error.to_string()),
        }
    }
}

/// An established, logged-in connection.
pub(super) struct Link {
    stream: TcpStream,
    parser: Parser,
    out: Vec<u8>,
    sent: usize,
    bytes_in: u64,
    bytes_out: u64,
}

impl Link {
    /// Connects and logs in.
    pub(super) fn open(
        config: &RedisConfig,
        role: Role,
        link_poll: &mut LinkPoll,
    ) -> Result<Link, LinkError> {
        let mut stream = TcpStream::from_std(connect(config)?);
        link_poll.poll.registry().register(&mut stream, SOCKET, Interest::READABLE | Interest::WRITABLE)?;
        let mut link =
            Link { stream, parser: Parser::new(), out: Vec::new(), sent: 0, bytes_in: 0, bytes_out: 0 };
        let own = link.log_in(config, role, link_poll)?;
        link_poll.last_link = own.zip(link.stream.local_addr().ok());
        Ok(link)
    }

    /// Appends a command to what is to be written.
    pub(super) fn push(&mut self, command: &Cmd) {
        command.write_packed_command(&mut self.out);
    }

    /// Writes as much as the socket takes.
    pub(super) fn write(&mut self) -> Result<(), LinkError> {
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(count) => {
                    self.sent += count;
                    self.bytes_out += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.sent = 0;
        self.out.clear();
        self.out.shrink_to(IDLE_BUFFER_BYTES);
        Ok(())
    }

    /// Reads the next value, if a whole one has arrived.
    pub(super) fn read(&mut self) -> Result<Option<Value>, LinkError> {
        let mut reader = Observed { stream: &self.stream, bytes: &mut self.bytes_in, error: None };
        match (self.parser.parse_value(&mut reader), reader.error) {
            (Ok(value), _) => Ok(Some(value)),
            (Err(_), Some(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            (Err(_), Some(error)) => Err(error.into()),
            (Err(_), None) => Err(LinkError::NotRedis),
        }
    }

    /// Writes what was pushed and hands the next `count` answers to `take`, in order.
    pub(super) fn exchange(
        &mut self,
        link_poll: &mut LinkPoll,
        mut count: usize,
        mut take: impl FnMut(Value) -> Result<(), LinkError>,
    ) -> Result<(), LinkError> {
        let mut deadline = AnswerDeadline::default();
        loop {
            self.write()?;
            while count > 0
                && let Some(value) = self.read()?
            {
                take(value)?;
                count -= 1;
            }
            if count == 0 {
                return Ok(());
            }
            link_poll.wait(deadline.left(self.bytes_in + self.bytes_out)?)?;
        }
    }

    /// Returns Redis's number for this connection, if Redis gives it.
    fn log_in(
        &mut self,
        config: &RedisConfig,
        role: Role,
        link_poll: &mut LinkPoll,
    ) -> Result<Option<i64>, LinkError> {
        let mut commands = Vec::new();
        if let Some(password) = &config.password {
            let mut auth = redis::cmd("AUTH");
            auth.arg(config.user.as_deref()).arg(password);
            self.push(&auth);
            commands.push("AUTH");
        }
        if config.db != 0 {
            self.push(redis::cmd("SELECT").arg(config.db));
            commands.push("SELECT");
        }
        let name = format!("{}-{}", config.client_name, role.name());
        self.push(redis::cmd("CLIENT").arg("SETNAME").arg(name));
        commands.push("CLIENT");
        // After a silent death Redis may believe for minutes that the link before this one is up: it would count its
        // subscriptions, and publications of that link might still arrive. The address keeps the number of another
        // Redis, one restarted meanwhile, from meaning somebody else.
        if let Some((number, address)) = link_poll.last_link {
            self.push(
                redis::cmd("CLIENT").arg("KILL").arg("ID").arg(number).arg("ADDR").arg(address.to_string()),
            );
            commands.push("CLIENT KILL");
        }
        self.push(redis::cmd("CLIENT").arg("ID"));
        commands.push("CLIENT ID");

        let mut number = None;
        let mut commands = commands.into_iter();
        self.exchange(link_poll, commands.len(), |answer| match (commands.next(), answer) {
            // Both are an improvement, not a condition: an ACL may deny them, an old Redis may not know them.
            (Some("CLIENT KILL"), _) => Ok(()),
            (Some("CLIENT ID"), answer) => {
                number = match answer {
                    Value::Int(number) => Some(number),
                    _ => None,
                };
                Ok(())
            }
            // The name is a courtesy that an ACL may deny. A missing login or a full server shows here as well.
            (Some("CLIENT"), Value::ServerError(error)) if error.code() == "NOPERM" => Ok(()),
            (Some(command), Value::ServerError(error)) => Err(LinkError::refused(command, &error)),
            _ => Ok(()),
        })?;
        Ok(number)
    }
}

fn connect(config: &RedisConfig) -> Result<std::net::TcpStream, LinkError> {
    let mut reason = LinkError::Connection("the name has no address".to_owned());
    for address in (config.host.as_str(), config.port).to_socket_addrs()? {
        match std::net::TcpStream::connect_timeout(&address, Duration::from_millis(CONNECT_MS)) {
            Ok(stream) => return Ok(prepared(stream)?),
            Err(error) => reason = error.into(),
        }
    }
    Err(reason)
}

/// A silent death (a pulled cable, a vanished machine) shows within about 25 s by the kernel's probes, so that an
/// idle link needs no timer of ours.
fn prepared(stream: std::net::TcpStream) -> io::Result<std::net::TcpStream> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let probes = TcpKeepalive::new()
        .with_time(Duration::from_secs(10))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    SockRef::from(&stream).set_tcp_keepalive(&probes)?;
    // Bytes that a given-up link still holds were reported as lost: the kernel must not deliver them later.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    Ok(stream)
}

/// Keeps the error that the codec's error type hides: `WouldBlock` must not be mistaken for `TimedOut`, by which the
/// kernel says that its probes went unanswered.
struct Observed<'a> {
    stream: &'a TcpStream,
    bytes: &'a mut u64,
    error: Option<io::Error>,
}

impl Read for Observed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stream.read(buffer) {
            Ok(0) => {
                self.error = Some(io::ErrorKind::UnexpectedEof.into());
                Ok(0)
            }
            Ok(count) => {
                *self.bytes += count as u64;
                Ok(count)
            }
            Err(error) => {
                let kind = error.kind();
                self.error = Some(error);
                Err(kind.into())
            }
        }
    }
}

/// The time an answer may still take: it runs out when no byte moves.
#[derive(Default)]
struct AnswerDeadline {
    since: Option<(u64, Instant)>,
}

impl AnswerDeadline {
    /// The time left. Starts anew whenever `bytes_moved` has changed since the last call.
    ///
    /// # Errors
    /// `NoAnswer` when nothing is left.
    fn left(&mut self, bytes_moved: u64) -> Result<Option<Duration>, LinkError> {
        let now = clock::now();
        let since = match self.since {
            Some((moved_then, since)) if moved_then == bytes_moved => since,
            _ => now,
        };
        self.since = Some((bytes_moved, since));
        let left = Duration::from_millis(ANSWER_MS).saturating_sub(now - since);
        if left.is_zero() { Err(LinkError::NoAnswer) } else { Ok(Some(left)) }
    }
}

/// The poll a bus thread sleeps in: its socket, the loop or the time wakes it.
pub(super) struct LinkPoll {
    poll: Poll,
    events: Events,
    role: Role,
    orders: Arc<Orders>,
    /// Redis's number for the link before the next one, and our end of it.
    last_link: Option<(i64, SocketAddr)>,
}

/// Orders of the loop to a sleeping thread, which reads them after every wait.
#[derive(Default)]
pub(super) struct Orders {
    pub(super) is_halted: AtomicBool,
    /// For each role: give the link up and make a new one.
    pub(super) is_reset: [AtomicBool; 2],
}

impl LinkPoll {
    /// Also returns what wakes it from outside.
    pub(super) fn new(role: Role, orders: Arc<Orders>) -> io::Result<(LinkPoll, Waker)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        Ok((LinkPoll { poll, events: Events::with_capacity(8), role, orders, last_link: None }, waker))
    }

    /// Waits until there may be something to do, or the time is over.
    ///
    /// # Errors
    /// `Stopped` when the bus was told to end, `Silent` when the link was given up.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> Result<(), LinkError> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        if self.orders.is_halted.load(Ordering::Acquire) {
            return Err(LinkError::Stopped);
        }
        if self.orders.is_reset[self.role as usize].swap(false, Ordering::AcqRel) {
            return Err(LinkError::Silent);
        }
        Ok(())
    }

    /// Waits between two attempts, when there is no link to give up.
    pub(super) fn pause(&mut self, timeout: Duration) -> Result<(), LinkError> {
        match self.wait(Some(timeout)) {
            Err(LinkError::Silent) => Ok(()),
            waited => waited,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(answer: &str, command: &'static str) -> String {
        let Ok(Value::ServerError(error)) = redis::parse_redis_value(answer.as_bytes()) else { panic!() };
        LinkError::refused(command, &error).to_string()
    }

    #[test]
    fn a_refused_login_shows_the_code_only() {
        let text = refusal("-ERR unknown command 'AUTH', with args beginning with: 'sesame'\r\n", "AUTH");
        assert_eq!(text, "AUTH was refused: ERR");
    }

    #[test]
    fn a_refusal_is_escaped_and_cut() {
        let text = refusal(&format!("-NOPERM bad\u{1b}[31m {}\r\n", "x".repeat(1_000)), "SUBSCRIBE");
        assert!(text.starts_with("SUBSCRIBE was refused: NOPERM bad\\u{1b}[31m xxx"), "{text}");
        assert!(text.len() < 300, "{text}");
    }

    #[test]
    fn a_server_that_speaks_something_else_is_refused() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            listener.accept().unwrap().0.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        });
        let config: RedisConfig = format!("redis://127.0.0.1:{port}/0").parse().unwrap();
        let (mut link_poll, _waker) = LinkPoll::new(Role::Subscriber, Arc::default()).unwrap();
        let refused = Link::open(&config, Role::Publisher, &mut link_poll);
        assert!(matches!(refused, Err(LinkError::NotRedis)));
    }
}
