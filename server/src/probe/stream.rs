//! A connection, plain or TLS: blocking with a deadline for each step until it is open, then left to a poll.
//!
//! Owns the socket and the sentences for what goes wrong below HTTP. It knows nothing of what is sent.
//!
//! Invariant: no blocking read or write outlasts the deadline, however many bytes trickle in before it.

use crate::{clock, probe::endpoint::Endpoint};
use rustls::{CertificateError, ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long any one step may take.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to an [`Endpoint`].
pub(super) enum Stream {
    Plain(Timed),
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

/// A TCP socket with a deadline for the current step.
pub(super) struct Timed {
    socket: TcpStream,
    /// `None` once a poll does the waiting.
    deadline: Option<Instant>,
}

/// Connects, and encrypts if the URL says so.
pub(super) fn dial(endpoint: &Endpoint, tls: &Arc<ClientConfig>) -> Result<Stream, String> {
    let socket = tcp(endpoint)?;
    let _ = socket.set_nodelay(true);
    let timed = Timed { socket, deadline: Some(clock::now() + STEP_TIMEOUT) };
    if endpoint.is_tls { encrypt(timed, endpoint, tls) } else { Ok(Stream::Plain(timed)) }
}

fn tcp(endpoint: &Endpoint) -> Result<TcpStream, String> {
    let host = &endpoint.host;
    let addresses = (host.as_str(), endpoint.port).to_socket_addrs();
    let addresses =
        addresses.map_err(|error| format!("the name {host} cannot be resolved ({error}): check the URL"))?;
    let deadline = clock::now() + STEP_TIMEOUT;
    let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
    for address in addresses {
        match remaining(deadline).and_then(|left| TcpStream::connect_timeout(&address, left)) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    let authority = endpoint.authority();
    Err(match last.kind() {
        ErrorKind::ConnectionRefused => {
            format!(
                "nothing listens on {authority} (connection refused): is the node or HAProxy running there?"
            )
        }
        _ if is_timeout(&last) => format!("{authority} does not answer: check the address and any firewall"),
        _ => format!("{authority} cannot be reached ({last})"),
    })
}

fn encrypt(mut timed: Timed, endpoint: &Endpoint, tls: &Arc<ClientConfig>) -> Result<Stream, String> {
    let name = ServerName::try_from(endpoint.host.clone())
        .map_err(|_| format!("{} is no name a certificate could have: check the URL", endpoint.host))?;
    let mut connection =
        ClientConnection::new(Arc::clone(tls), name).map_err(|error| format!("TLS: {error}"))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut timed).map_err(|error| not_encrypted(&error, endpoint))?;
    }
    Ok(Stream::Tls(Box::new(StreamOwned::new(connection, timed))))
}

fn not_encrypted(error: &io::Error, endpoint: &Endpoint) -> String {
    let authority = endpoint.authority();
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })) => {
            format!(
                "the certificate of {authority} is for other names: use one of them, or --insecure for a test"
            )
        }
        Some(rustls::Error::InvalidCertificate(why)) => format!(
            "the certificate of {authority} is not trusted ({}): use --ca FILE, or --insecure for a test",
            distrust(why)
        ),
        Some(rustls::Error::InvalidMessage(_)) => format!("{authority} does not speak TLS: try http://"),
        Some(other) => format!("TLS with {authority} failed ({other})"),
        None if is_timeout(error) => {
            format!("{authority} does not answer the TLS handshake: is it an HTTPS port?")
        }
        None => format!("{authority} ended the TLS handshake ({error}): is it an HTTPS port?"),
    }
}

fn distrust(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer | CertificateError::Other(_) => {
            String::from("it is self-signed or its authority is unknown here")
        }
        why => why.to_string(),
    }
}

/// Whether an error means that the deadline passed.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

fn remaining(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(clock::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

impl Stream {
    /// Gives the next step its own time.
    pub(super) fn start_step(&mut self) {
        self.timed_mut().deadline = Some(clock::now() + STEP_TIMEOUT);
    }

    /// Makes the connection non-blocking, without deadlines from here on. What it returns is for a poll to watch.
    pub(super) fn watched(&mut self) -> io::Result<mio::net::TcpStream> {
        let timed = self.timed_mut();
        timed.deadline = None;
        timed.socket.set_nonblocking(true)?;
        timed.socket.try_clone().map(mio::net::TcpStream::from_std)
    }

    fn timed_mut(&mut self) -> &mut Timed {
        match self {
            Stream::Plain(timed) => timed,
            Stream::Tls(stream) => &mut stream.sock,
        }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(deadline) = self.deadline {
            self.socket.set_read_timeout(Some(remaining(deadline)?))?;
        }
        self.socket.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(deadline) = self.deadline {
            self.socket.set_write_timeout(Some(remaining(deadline)?))?;
        }
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}
