//! Real parts for tests: a Redis server that a test starts, kills and brings back.
//!
//! Owns the child process and its port. It never touches a server it did not start.
//!
//! Invariant: when the value is dropped the server is gone, also after a failed assertion.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// How often readiness is looked for, 20 ms apart, before a test gives up.
const ATTEMPTS: u32 = 1_000;

/// A `redis-server` of this test's own, on a free port of 127.0.0.1, without persistence.
pub struct RedisServer {
    port: u16,
    options: Vec<String>,
    /// The login that a raw connection of the kit sends first.
    auth: Option<Vec<String>>,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    /// When no server could be started.
    #[must_use]
    pub fn start() -> RedisServer {
        RedisServer::start_with(&[], None)
    }

    /// Starts a server with more options, word by word as on the command line. `auth` is the login that the
    /// kit sends before its own commands (`["AUTH", "password"]`).
    ///
    /// # Panics
    /// When no server could be started.
    #[must_use]
    pub fn start_with(options: &[&str], auth: Option<&[&str]>) -> RedisServer {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        // Between finding a free port and using it somebody else may take it.
        for _ in 0..10 {
            let mut server = RedisServer {
                port: free_port(),
                options: owned(options),
                auth: auth.map(owned),
                child: None,
            };
            if server.spawn() {
                return server;
            }
        }
        panic!("redis-server did not start; is it installed?");
    }

    /// The port the server has, or had before it was stopped.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of database 0, without a login.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Kills the server, as a crash would.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Fails only when it is dead already, which is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts a server again where the last one was.
    ///
    /// # Panics
    /// When the port was taken meanwhile.
    pub fn restart_same_port(&mut self) {
        self.stop();
        assert!(self.spawn(), "redis-server did not come back on port {}", self.port);
    }

    /// Sends one command over a connection of its own and returns the raw answer (`:1\r\n`).
    ///
    /// # Panics
    /// When the server cannot be reached.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> String {
        self.try_command(words).expect("the server answers")
    }

    /// Sends one command, waits for the beginning of its answer and stays connected until the value is dropped.
    ///
    /// # Panics
    /// When the server cannot be reached.
    #[must_use]
    pub fn command_and_stay(&self, words: &[&str]) -> TcpStream {
        let mut stream = self.connect().expect("the server accepts");
        stream.write_all(&packed(words)).expect("the server reads");
        stream.read_exact(&mut [0; 1]).expect("the server answers");
        stream
    }

    /// Starts the process and waits for its PONG; false when it ended instead.
    fn spawn(&mut self) -> bool {
        let child = Command::new("redis-server")
            .args([
                "--port",
                &self.port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else { return false };
        self.child = Some(child);
        for _ in 0..ATTEMPTS {
            if self.has_exited() {
                return false;
            }
            if self.try_command(&["PING"]).is_ok_and(|answer| answer == "+PONG\r\n") {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }

    fn has_exited(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// QUIT makes the server close after the answer, so that reading to the end reads it whole.
    fn try_command(&self, words: &[&str]) -> io::Result<String> {
        let mut stream = self.connect()?;
        stream.write_all(&[packed(words), packed(&["QUIT"])].concat())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        Ok(answer.strip_suffix("+OK\r\n").unwrap_or(&answer).to_owned())
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        if let Some(auth) = &self.auth {
            let words: Vec<&str> = auth.iter().map(String::as_str).collect();
            stream.write_all(&packed(&words))?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer)?;
        }
        Ok(stream)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A port of 127.0.0.1 that is free just now.
///
/// # Panics
/// When the system has none left.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

fn packed(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}
