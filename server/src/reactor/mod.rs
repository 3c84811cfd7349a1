//! The event loop in parts, each below the ones before it: a turn, the node's inputs and outputs, polling and
//! WebSockets, an HTTP exchange, the connections' bytes; and beside them the bus port and the acceptor.
//!
//! Owns every file descriptor of the process but the bus's. It holds no truth that the core lacks: a connection that is
//! closed here is closed there within the same turn.
//!
//! Invariants: the time stands still within a turn; each connection is served once a turn, within a share of the
//! turn's budget, so a busy one cannot starve its neighbours; work that a budget cut short is remembered and the next
//! poll does not sleep.

mod accept;
mod budget;
mod bus_port;
mod dispatch;
mod exchange;
mod io;
mod polling;
mod turn;
mod websocket;

pub(crate) use accept::Acceptor;
pub(crate) use bus_port::BusPort;
pub(crate) use dispatch::Dispatcher;
pub(crate) use exchange::{HttpExchange, SiteConfig};
pub(crate) use io::ConnectionIo;
pub(crate) use turn::{ADMIN, PUBLIC, Reactor, SIGNALS, WAKER};
