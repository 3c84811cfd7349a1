//! Why a socket's life ended, in the words Socket.IO users know.

/// The reason handed to an application and counted when a socket disconnects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The client sent a DISCONNECT for this namespace.
    ClientNamespaceDisconnect,
    /// The application ended the socket.
    ServerNamespaceDisconnect,
    /// The connection went away without a word.
    TransportClose,
    /// The connection broke its own protocol.
    TransportError,
    /// The client did not answer a heartbeat in time.
    PingTimeout,
    /// The client sent bytes that are not a packet.
    ParseError,
    /// The client opened a session and joined no namespace in time.
    ConnectTimeout,
    /// The client opened a second transport and did not move to it in time.
    UpgradeTimeout,
    /// The client read too slowly and its outbox was full.
    SlowConsumer,
    /// This node is draining.
    ServerShuttingDown,
}

impl Reason {
    /// Every reason, for metrics that list them all from the start.
    pub const ALL: [Reason; 10] = [
        Reason::ClientNamespaceDisconnect,
        Reason::ServerNamespaceDisconnect,
        Reason::TransportClose,
        Reason::TransportError,
        Reason::PingTimeout,
        Reason::ParseError,
        Reason::ConnectTimeout,
        Reason::UpgradeTimeout,
        Reason::SlowConsumer,
        Reason::ServerShuttingDown,
    ];

    /// The reason as Socket.IO spells it, where Socket.IO has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::ClientNamespaceDisconnect => "client namespace disconnect",
            Reason::ServerNamespaceDisconnect => "server namespace disconnect",
            Reason::TransportClose => "transport close",
            Reason::TransportError => "transport error",
            Reason::PingTimeout => "ping timeout",
            Reason::ParseError => "parse error",
            Reason::ConnectTimeout => "connect timeout",
            Reason::UpgradeTimeout => "upgrade timeout",
            Reason::SlowConsumer => "slow consumer",
            Reason::ServerShuttingDown => "server shutting down",
        }
    }
}
