//! A rustls client against the stream, in memory and over loopback.

use super::*;
use crate::wire::send_queue::{Progress, SendQueue};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, pki_types::ServerName};
use std::{
    cell::RefCell, collections::VecDeque, fs, net::TcpListener, path::PathBuf, rc::Rc, thread, time::Duration,
};

/// A directory of this test's own, gone afterwards.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("moorline-tls-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        Files(directory)
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Configurations of a server and of a client that trusts it.
fn configs(name: &str) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let files = Files::new(name);
    let issued = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let cert = files.write("cert.pem", &issued.cert.pem());
    let key = files.write("key.pem", &issued.signing_key.serialize_pem());
    let mut roots = RootCertStore::empty();
    roots.add(issued.cert.der().clone()).unwrap();
    let mut client = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (server_config(&cert, &key).unwrap(), Arc::new(client))
}

fn client_connection(config: &Arc<ClientConfig>) -> ClientConnection {
    ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost").unwrap()).unwrap()
}

/// One end of a pipe in memory that behaves as a non-blocking socket.
#[derive(Debug, Clone)]
struct Pipe {
    incoming: Rc<RefCell<VecDeque<u8>>>,
    outgoing: Rc<RefCell<VecDeque<u8>>>,
    room_bytes: usize,
    is_ended: Rc<RefCell<bool>>,
}

impl Pipe {
    fn pair(room_bytes: usize) -> (Pipe, Pipe) {
        let (left, right, is_ended) = (Rc::default(), Rc::default(), Rc::default());
        let near = Pipe { incoming: left, outgoing: right, room_bytes, is_ended };
        let far = Pipe {
            incoming: Rc::clone(&near.outgoing),
            outgoing: Rc::clone(&near.incoming),
            room_bytes: usize::MAX,
            is_ended: Rc::clone(&near.is_ended),
        };
        (near, far)
    }
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.incoming.borrow_mut().read(into)? {
            0 if !*self.is_ended.borrow() => Err(ErrorKind::WouldBlock.into()),
            read_bytes => Ok(read_bytes),
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut outgoing = self.outgoing.borrow_mut();
        let taken_bytes = bytes.len().min(self.room_bytes.saturating_sub(outgoing.len()));
        if taken_bytes == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        outgoing.extend(&bytes[..taken_bytes]);
        Ok(taken_bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A server stream and a client in memory; the server's socket holds at most `room_bytes` not yet read by the client.
struct World {
    server: Stream<Pipe>,
    client: ClientConnection,
    client_end: Pipe,
}

impl World {
    fn new(name: &str, room_bytes: usize) -> Self {
        let (server_config, client_config) = configs(name);
        let (server_end, client_end) = Pipe::pair(room_bytes);
        let server = Stream::tls(server_end, &server_config).unwrap();
        World { server, client: client_connection(&client_config), client_end }
    }

    /// Lets the client send and receive all it can.
    fn turn_client(&mut self) {
        while self.client.wants_write() {
            self.client.write_tls(&mut self.client_end).unwrap();
        }
        while self.client.read_tls(&mut self.client_end).is_ok_and(|read_bytes| read_bytes > 0) {
            self.client.process_new_packets().unwrap();
        }
    }

    fn shake_hands(&mut self) {
        while self.client.is_handshaking() {
            self.turn_client();
            assert_would_block(self.server.read(&mut [0; 10]).map(drop));
            let _ = self.server.flush();
        }
        self.turn_client();
        assert_would_block(self.server.read(&mut [0; 10]).map(drop));
        let _ = self.server.flush();
        self.turn_client();
    }
}

fn assert_would_block(outcome: io::Result<()>) {
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn the_handshake_happens_within_reads_and_agrees_on_http_1_1() {
    let mut world = World::new("handshake", usize::MAX);
    world.shake_hands();
    assert_eq!(world.client.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[test]
fn the_handshake_survives_a_socket_that_takes_little() {
    let mut world = World::new("narrow", 100);
    world.shake_hands();
    assert_eq!(world.client.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[test]
fn plaintext_inside_rustls_is_read_before_it_would_block() {
    let mut world = World::new("buffered", usize::MAX);
    world.shake_hands();
    let sent: Vec<u8> = (0..40_000_u32).map(|index| index.to_le_bytes()[0]).collect();
    world.client.writer().write_all(&sent).unwrap();
    world.turn_client();
    let (mut received, mut piece) = (Vec::new(), [0; 7]);
    while let Ok(read_bytes) = world.server.read(&mut piece) {
        assert!(read_bytes > 0);
        received.extend_from_slice(&piece[..read_bytes]);
    }
    assert!(received == sent);
    assert_would_block(world.server.read(&mut piece).map(drop));
}

#[test]
fn a_blocked_socket_bounds_what_rustls_takes_and_loses_nothing() {
    let mut world = World::new("blocked", 5000);
    world.shake_hands();
    let sent: Vec<u8> = (0..300_000_u32).map(|index| index.to_le_bytes()[0]).collect();
    let mut queue = SendQueue::default();
    queue.push_bytes(sent.clone());
    assert_eq!(queue.write_to(&mut world.server).unwrap(), Progress::Blocked);
    assert_eq!(queue.len_bytes(), sent.len() - SEND_BUFFER_BYTES);
    assert_would_block(world.server.write(b"more").map(drop));
    let mut received = Vec::new();
    loop {
        let progress = queue.write_to(&mut world.server).unwrap();
        while world.client.read_tls(&mut world.client_end).is_ok() {
            world.client.process_new_packets().unwrap();
            let _ = world.client.reader().read_to_end(&mut received);
        }
        if progress == Progress::Done {
            break;
        }
    }
    assert!(received == sent);
}

#[test]
fn a_close_alert_and_a_cut_are_both_the_end() {
    let mut world = World::new("close-alert", usize::MAX);
    world.shake_hands();
    world.client.writer().write_all(b"last").unwrap();
    world.client.send_close_notify();
    world.turn_client();
    let mut piece = [0; 10];
    assert_eq!(world.server.read(&mut piece).unwrap(), 4);
    assert_eq!(world.server.read(&mut piece).unwrap(), 0);

    let mut world = World::new("cut", usize::MAX);
    world.shake_hands();
    *world.client_end.is_ended.borrow_mut() = true;
    assert_eq!(world.server.read(&mut piece).unwrap(), 0);
}

#[test]
fn our_close_alert_reaches_the_client() {
    let mut world = World::new("close-notify", usize::MAX);
    world.shake_hands();
    world.server.write_all(b"bye").unwrap();
    world.server.close_notify();
    world.server.flush().unwrap();
    world.turn_client();
    let mut received = Vec::new();
    assert_eq!(world.client.reader().read_to_end(&mut received).unwrap(), 3);
}

#[test]
fn what_is_no_tls_is_an_error_and_gets_an_alert() {
    let mut world = World::new("garbage", usize::MAX);
    world.client_end.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(world.server.read(&mut [0; 10]).unwrap_err().kind(), ErrorKind::InvalidData);
    const ALERT: u8 = 21;
    assert_eq!(world.client_end.incoming.borrow().front(), Some(&ALERT));
}

#[test]
fn a_client_that_comes_back_resumes() {
    let (server_config, client_config) = configs("resume");
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let (server_end, client_end) = Pipe::pair(usize::MAX);
        let server = Stream::tls(server_end, &server_config).unwrap();
        let mut world = World { server, client: client_connection(&client_config), client_end };
        world.shake_hands();
        kinds.push(world.client.handshake_kind().unwrap());
    }
    assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
}

#[test]
fn a_plain_stream_is_its_socket() {
    let (near, mut far) = Pipe::pair(usize::MAX);
    let mut stream = Stream::Plain(near);
    stream.close_notify();
    stream.write_all(b"hi").unwrap();
    stream.flush().unwrap();
    let mut piece = [0; 10];
    assert_eq!(far.read(&mut piece).unwrap(), 2);
    assert_would_block(stream.read(&mut piece).map(drop));
}

#[test]
fn an_edge_triggered_loop_over_loopback_echoes_everything() {
    const TOTAL_BYTES: usize = 3_000_000;
    let (server_config, client_config) = configs("loopback");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = thread::spawn(move || {
        echoed(std::net::TcpStream::connect(address).unwrap(), &client_config, TOTAL_BYTES)
    });
    let (socket, _) = listener.accept().unwrap();
    socket.set_nonblocking(true).unwrap();
    let stream = Stream::tls(mio::net::TcpStream::from_std(socket), &server_config).unwrap();
    echo(stream);
    assert_eq!(client.join().unwrap(), TOTAL_BYTES);
}

/// The client of the echo, in lock-step pieces over a blocking socket; returns how many bytes came back right.
fn echoed(mut socket: std::net::TcpStream, config: &Arc<ClientConfig>, total_bytes: usize) -> usize {
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut connection = client_connection(config);
    let mut stream = rustls::Stream::new(&mut connection, &mut socket);
    let (piece, mut back, mut echoed_bytes) = (vec![7; 50_000], vec![0; 50_000], 0);
    while echoed_bytes < total_bytes {
        stream.write_all(&piece).unwrap();
        stream.flush().unwrap();
        stream.read_exact(&mut back).unwrap();
        assert!(back == piece);
        echoed_bytes += back.len();
    }
    stream.conn.send_close_notify();
    stream.conn.write_tls(&mut stream.sock).unwrap();
    echoed_bytes
}

/// The event loop in small: drain reads on every event, write, and wait for the next edge.
fn echo(mut stream: Stream) {
    let mut poll = mio::Poll::new().unwrap();
    let mut events = mio::Events::with_capacity(8);
    let interest = mio::Interest::READABLE | mio::Interest::WRITABLE;
    poll.registry().register(stream.socket_mut(), mio::Token(0), interest).unwrap();
    let (mut queue, mut piece) = (SendQueue::default(), [0; 3000]);
    loop {
        poll.poll(&mut events, Some(Duration::from_secs(30))).unwrap();
        assert!(!events.is_empty(), "an edge was lost");
        loop {
            match stream.read(&mut piece) {
                Ok(0) => return,
                Ok(read_bytes) => queue.push_bytes(piece[..read_bytes].to_vec()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        queue.write_to(&mut stream).unwrap();
    }
}

#[test]
fn a_bad_file_is_one_sentence_that_names_its_flag() {
    let files = Files::new("errors");
    let issued = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let cert = files.write("cert.pem", &issued.cert.pem());
    let key = files.write("key.pem", &issued.signing_key.serialize_pem());
    let other_key = files.write("other.pem", &other.signing_key.serialize_pem());
    let empty = files.write("empty.pem", "");
    let missing = files.0.join("missing.pem");
    for (cert, key, flag, word) in [
        (&missing, &key, "--tls-cert", "cannot be read"),
        (&cert, &missing, "--tls-key", "cannot be read"),
        (&empty, &key, "--tls-cert", "holds no certificate"),
        (&key, &key, "--tls-cert", "holds no certificate"),
        (&cert, &empty, "--tls-key", "holds no private key"),
        (&cert, &cert, "--tls-key", "holds no private key"),
        (&cert, &other_key, "--tls-key", "does not belong"),
    ] {
        let error = server_config(cert, key).unwrap_err();
        assert!(error.starts_with(flag) && error.contains(word) && !error.contains('\n'), "{error}");
    }
    server_config(&cert, &key).unwrap();
}
