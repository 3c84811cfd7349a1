//! The processes of a run: started, watched, asked, ended.
//!
//! It never ends a process it did not start. Invariant: every process it started ends with the benchmark: a `Process`
//! that is dropped is killed and reaped, and the kernel does it when the benchmark itself was killed.

use crate::{clock, outcome::Result};
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

/// Below the range from which the system takes the near end of outgoing connections.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const START_NS: u64 = 15_000_000_000;
const RETRY: Duration = Duration::from_millis(20);

pub(crate) struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts a program. Its stderr is shown; its stdout holds the answers to `ask`.
    pub(crate) fn start(name: &str, command: &[String], environment: &[(&str, &str)]) -> Result<Process> {
        let guard = ["setpriv", "--pdeathsig", "KILL", "--"].map(String::from);
        let guarded: Vec<&String> = guard.iter().filter(|_| has_setpriv()).chain(command).collect();
        let child = Command::new(guarded[0])
            .args(&guarded[1..])
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", command[0]))?;
        Ok(Process { name: name.to_owned(), child })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Polls until `is_up` says so.
    pub(crate) fn wait_until(&mut self, is_up: impl Fn() -> bool) -> Result<()> {
        let deadline_ns = clock::now_ns() + START_NS;
        while !is_up() {
            self.check_alive()?;
            if clock::now_ns() > deadline_ns {
                return Err(format!("{} did not come up", self.name).into());
            }
            thread::sleep(RETRY);
        }
        Ok(())
    }

    /// # Errors
    /// A sentence when the process has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => Err(format!("{} ended: {status}", self.name).into()),
            None => Ok(()),
        }
    }

    /// Writes a line to the process and waits for the line it answers.
    pub(crate) fn ask(&mut self, line: &str) -> Result<()> {
        let (Some(stdin), Some(stdout)) = (&mut self.child.stdin, &mut self.child.stdout) else {
            return Err("a process has no pipes".into());
        };
        writeln!(stdin, "{line}")?;
        let mut answer = String::new();
        BufReader::with_capacity(64, stdout).read_line(&mut answer)?;
        if answer.is_empty() { Err(format!("{} gave no answer", self.name).into()) } else { Ok(()) }
    }
}

impl Drop for Process {
    /// Nothing can be done about a process that cannot be killed, and it is ours, so it can.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `setpriv` replaces itself by the program, so the process id stays.
fn has_setpriv() -> bool {
    static FOUND: std::sync::LazyLock<bool> =
        std::sync::LazyLock::new(|| output("setpriv", &["--version"]).is_ok());
    *FOUND
}

/// Runs a program to its end and returns its output.
pub(crate) fn output(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        Ok(text)
    } else {
        Err(format!("{program} failed: {}", output.status).into())
    }
}

/// A loopback address that is free and was not given out before.
pub(crate) fn free_address() -> Result<SocketAddr> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let shift = u16::try_from(std::process::id() % 10_000).unwrap_or_default();
    for port in (PORTS.start + shift..PORTS.end).chain(PORTS) {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if !given.contains(&port) && TcpListener::bind(address).is_ok() {
            given.insert(port);
            return Ok(address);
        }
    }
    Err("no port is free".into())
}

/// Whether a plain HTTP request is answered.
pub(crate) fn answers_http(address: SocketAddr) -> bool {
    says(address, &format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"), "HTTP/1.1 200")
}

/// Whether Redis is there.
pub(crate) fn answers_redis(address: SocketAddr) -> bool {
    says(address, "PING\r\n", "+PONG")
}

fn says(address: SocketAddr, question: &str, answer: &str) -> bool {
    let exchange = || {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        stream.write_all(question.as_bytes()).ok()?;
        let mut start = vec![0; answer.len()];
        stream.read_exact(&mut start).ok()?;
        Some(start)
    };
    exchange().is_some_and(|start| start == answer.as_bytes())
}
