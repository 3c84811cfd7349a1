//! The transport of a connection, plain or TLS, with one behaviour: that of a non-blocking socket.
//!
//! Owns the socket, and for TLS rustls' state around it. It never blocks and never registers with the poll.
//!
//! Invariant: `read` returns `WouldBlock` only when neither the socket nor rustls holds anything more to read, so a
//! loop on an edge-triggered poll that reads until `WouldBlock` forgets nothing. `flush` returns `Ok` only when rustls
//! holds nothing more to write. rustls' buffers are bounded: unread plaintext at its own 16 KiB, unsent records by
//! `SEND_BUFFER_BYTES` of plaintext.

use rustls::{
    ServerConfig, ServerConnection,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};
use std::{
    io::{self, ErrorKind, IoSlice, Read, Write},
    path::Path,
    sync::Arc,
};

/// The plaintext rustls takes before the socket has taken its records.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// A connection's transport. Read it until `WouldBlock`; on a writable event flush it, which
/// [`super::send_queue::SendQueue::write_to`] does. The same loop serves both kinds.
#[derive(Debug)]
pub enum Stream<S = mio::net::TcpStream> {
    /// Bytes as they are.
    Plain(S),
    /// Bytes through TLS, from the handshake on.
    Tls(Box<TlsStream<S>>),
}

impl<S: Read + Write> Stream<S> {
    /// A TLS transport on a socket just accepted. The handshake happens within `read` and `flush`.
    ///
    /// # Errors
    /// Only when rustls does not accept the configuration.
    pub fn tls(socket: S, config: &Arc<ServerConfig>) -> io::Result<Self> {
        let mut connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        connection.set_buffer_limit(Some(SEND_BUFFER_BYTES));
        Ok(Stream::Tls(Box::new(TlsStream { connection, socket })))
    }

    /// The socket, to register it.
    pub fn socket_mut(&mut self) -> &mut S {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => &mut tls.socket,
        }
    }

    /// Whether a read that brought `read_bytes` into `buffer` left nothing behind. Of a plain socket a short read says
    /// so, and the next bytes make a new edge; rustls may hold more.
    pub fn is_drained_by(&self, read_bytes: usize, buffer: &[u8]) -> bool {
        matches!(self, Stream::Plain(_)) && read_bytes < buffer.len()
    }

    /// Whether the handshake of TLS is not over. Its signature costs as much as hundreds of messages.
    pub fn is_handshaking(&self) -> bool {
        matches!(self, Stream::Tls(tls) if tls.connection.is_handshaking())
    }

    /// Whether rustls holds records that the socket did not take.
    pub fn wants_write(&self) -> bool {
        matches!(self, Stream::Tls(tls) if tls.connection.wants_write())
    }

    /// Sends the close alert of TLS, so that the peer can tell an end from a cut; nothing for a plain socket. Call it
    /// after the last write and flush again.
    pub fn close_notify(&mut self) {
        if let Stream::Tls(tls) = self {
            tls.connection.send_close_notify();
        }
    }
}

impl<S: Read + Write> Read for Stream<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(into),
            Stream::Tls(tls) => tls.read(into),
        }
    }
}

impl<S: Read + Write> Write for Stream<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write_vectored(slices),
            Stream::Tls(tls) => tls.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.flush(),
            Stream::Tls(tls) => tls.flush(),
        }
    }
}

/// The server's end of a TLS connection over a non-blocking socket.
#[derive(Debug)]
pub struct TlsStream<S> {
    connection: ServerConnection,
    socket: S,
}

impl<S: Read + Write> TlsStream<S> {
    /// Plaintext, `Ok(0)` at the end of the stream. A cut without the close alert counts as the end: WebSocket and HTTP
    /// have ends of their own.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(into) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.receive()?,
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
        }
    }

    /// Takes records from the socket, and answers those that are the handshake's.
    fn receive(&mut self) -> io::Result<()> {
        self.connection.read_tls(&mut self.socket)?;
        let verdict = self.connection.process_new_packets();
        let sent = self.send_records();
        verdict.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        match sent {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            sent => sent,
        }
    }

    /// Takes plaintext only when the socket took all that came before, so that a slow reader costs one buffer.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send_records()?;
        let taken_bytes = self.connection.writer().write_vectored(slices)?;
        match self.send_records() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken_bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_records()?;
        self.socket.flush()
    }

    fn send_records(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut self.socket) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The TLS configuration of `--tls-cert` and `--tls-key`: HTTP/1.1 only, and tickets, so that a client that comes back
/// need not do the full handshake.
///
/// # Errors
/// One sentence that names the flag and the file.
pub fn server_config(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, String> {
    let chain = read_chain(cert)?;
    let private_key = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| file_error("--tls-key", key, "private key", &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("--tls-cert: TLS is not available: {error}"))?
        .with_no_client_auth()
        .with_single_cert(chain, private_key)
        .map_err(|error| pair_error(cert, key, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = rustls::crypto::ring::Ticketer::new()
        .map_err(|error| format!("--tls-cert: no key for session tickets: {error}"))?;
    Ok(Arc::new(config))
}

fn read_chain(cert: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect);
    let chain =
        chain.and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) });
    chain.map_err(|error| file_error("--tls-cert", cert, "certificate", &error))
}

/// Only a read error is quoted: the others may quote the file, and the file may be a key.
fn file_error(flag: &str, file: &Path, wanted: &str, error: &pem::Error) -> String {
    let file = file.display();
    match error {
        pem::Error::Io(error) => format!("{flag} {file}: the file cannot be read: {error}"),
        _ => format!("{flag} {file}: the file holds no {wanted} in PEM form"),
    }
}

fn pair_error(cert: &Path, key: &Path, error: &rustls::Error) -> String {
    let (cert, key) = (cert.display(), key.display());
    match error {
        rustls::Error::InconsistentKeys(_) => {
            format!("--tls-key {key}: the key does not belong to the certificate of --tls-cert {cert}")
        }
        _ => format!("--tls-cert {cert} with --tls-key {key}: {error}"),
    }
}

#[cfg(test)]
mod tests;
