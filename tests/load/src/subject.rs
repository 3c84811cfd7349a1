//! The servers under test, started the same way: one node alone, or two with a Redis of their own.

use crate::{
    options::{Adapter, Options},
    outcome::Result,
    process::{Process, answers_http, answers_redis, free_address},
    usage::{self, Memory},
};
use std::net::SocketAddr;

/// The server that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    Moorline,
    /// Socket.IO from npm.
    Peer,
    /// Another binary of moorline, in place of the peer.
    OtherMoorline,
}

/// The closed loops send twenty times what one client may, as fast as a server answers: here they measure its speed and
/// not its patience. Variables, since a moorline from before there were rates takes no notice of them.
const ENVIRONMENT: [(&str, &str); 3] =
    [("NODE_ENV", "production"), ("MOORLINE_RATE_EVENTS", "0"), ("MOORLINE_RATE_BYTES", "0")];

impl Subject {
    /// Moorline, and the server it is compared with.
    pub(crate) fn both(options: &Options) -> [Subject; 2] {
        [Subject::Moorline, if options.against.is_some() { Subject::OtherMoorline } else { Subject::Peer }]
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Subject::Moorline => "moorline",
            Subject::Peer => "socket.io",
            Subject::OtherMoorline => "other moorline",
        }
    }

    /// One node, with no Redis to talk to.
    pub(crate) fn start_alone(self, options: &Options) -> Result<Cluster> {
        Ok(Cluster { nodes: vec![self.start_node(options, None)?], redis: None })
    }

    /// Two nodes and the Redis between them.
    pub(crate) fn start_pair(self, options: &Options) -> Result<Cluster> {
        let (redis, address) = start_redis(options)?;
        let url = format!("redis://{address}/0");
        let nodes = [self.start_node(options, Some(&url))?, self.start_node(options, Some(&url))?];
        Ok(Cluster { nodes: nodes.into(), redis: Some(redis) })
    }

    fn start_node(self, options: &Options, redis: Option<&str>) -> Result<Node> {
        let address = free_address()?;
        let command = match self {
            Subject::Moorline => moorline(&options.moorline, address, redis),
            Subject::Peer => peer(options, address, redis),
            Subject::OtherMoorline => {
                moorline(options.against.as_ref().ok_or("no other moorline is named")?, address, redis)
            }
        };
        let mut process = Process::start(self.name(), &command, &ENVIRONMENT)?;
        process.wait_until(|| answers_http(address))?;
        Ok(Node { process, address })
    }
}

fn moorline(binary: &str, address: SocketAddr, redis: Option<&str>) -> Vec<String> {
    let mut command = vec![binary.to_owned(), String::from("--log"), String::from("warn")];
    command.extend([String::from("--listen"), address.to_string()]);
    command.extend(redis.into_iter().flat_map(|url| [String::from("--redis"), url.to_owned()]));
    command
}

fn peer(options: &Options, address: SocketAddr, redis: Option<&str>) -> Vec<String> {
    let mut command = vec![String::from("node"), String::from("--expose-gc"), options.peer_script()];
    command.push(address.port().to_string());
    command.extend(redis.map(String::from));
    if options.peer_adapter == Adapter::Sharded && redis.is_some() {
        command.push(String::from("sharded"));
    }
    command
}

fn start_redis(options: &Options) -> Result<(Process, SocketAddr)> {
    let address = free_address()?;
    let flags =
        ["--port", &address.port().to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    let command: Vec<String> =
        [options.redis_server.as_str()].iter().chain(&flags).map(|&part| part.into()).collect();
    let mut process = Process::start("redis-server", &command, &[])?;
    process.wait_until(|| answers_redis(address))?;
    Ok((process, address))
}

/// The nodes of one subject, and their Redis.
pub(crate) struct Cluster {
    nodes: Vec<Node>,
    redis: Option<Process>,
}

struct Node {
    process: Process,
    address: SocketAddr,
}

/// CPU time so far, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpu {
    /// Of all nodes.
    pub(crate) nodes_ns: u64,
    pub(crate) redis_ns: u64,
    /// Of the load generator itself.
    pub(crate) own_ns: u64,
}

impl Cluster {
    /// The addresses of the first and of the last node; equal when there is one node.
    pub(crate) fn ends(&self) -> (SocketAddr, SocketAddr) {
        (self.nodes[0].address, self.nodes[self.nodes.len() - 1].address)
    }

    pub(crate) fn check_alive(&mut self) -> Result<()> {
        let mut processes = self.nodes.iter_mut().map(|node| &mut node.process).chain(&mut self.redis);
        processes.try_for_each(Process::check_alive)
    }

    pub(crate) fn cpu(&self) -> Result<Cpu> {
        let nodes = self.nodes.iter().map(|node| usage::cpu_ns(node.process.id()));
        let redis = self.redis.as_ref().map(|redis| usage::cpu_ns(redis.id()));
        Ok(Cpu {
            nodes_ns: nodes.sum::<Result<u64>>()?,
            redis_ns: redis.transpose()?.unwrap_or_default(),
            own_ns: usage::cpu_ns(std::process::id())?,
        })
    }

    /// The first node's memory, garbage collected if the server has such a thing.
    pub(crate) fn memory(&mut self, subject: Subject) -> Result<Memory> {
        let process = &mut self.nodes[0].process;
        if subject == Subject::Peer {
            process.ask("gc")?;
        }
        usage::memory(process.id())
    }
}
