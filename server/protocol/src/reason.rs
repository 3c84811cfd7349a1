//! Why a socket ended, in the words Socket.IO users know.
//!
//! Owns the reasons, their labels and their explanations. It never ends anything.

/// The reason handed to an application and counted when a socket disconnects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
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

    /// One line that explains it to an operator.
    pub fn meaning(self) -> &'static str {
        match self {
            Reason::ClientNamespaceDisconnect => "The client left.",
            Reason::ServerNamespaceDisconnect => "The application put the client out.",
            Reason::TransportClose => "The connection went away, or the client closed its session.",
            Reason::TransportError => "The connection broke, or broke its own protocol.",
            Reason::PingTimeout => "The client did not answer a heartbeat in time.",
            Reason::ParseError => "The client sent bytes that are not a packet.",
            Reason::ConnectTimeout => "The client opened a session and joined no namespace in time.",
            Reason::UpgradeTimeout => "The client opened a WebSocket and did not move to it in time.",
            Reason::SlowConsumer => "The client read too slowly and its outbox was full.",
            Reason::ServerShuttingDown => "This node is draining.",
        }
    }

    /// One line that says what an operator can do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Reason::ClientNamespaceDisconnect | Reason::ServerNamespaceDisconnect => {
                "Nothing: this is meant."
            }
            Reason::TransportClose => {
                "Nothing: pages are closed. A jump means a proxy or network that cuts connections."
            }
            Reason::TransportError => "A jump means a proxy or network that breaks connections.",
            Reason::PingTimeout => "Look at the clients' network, or raise --ping-timeout.",
            Reason::ParseError => "`drops_total` says which rule was broken.",
            Reason::ConnectTimeout => {
                "Something connects that is no Socket.IO client, or --connect-timeout is short."
            }
            Reason::UpgradeTimeout => "Check the WebSocket support of the proxies before this node.",
            Reason::SlowConsumer => "Send less to slow clients, or raise --limit outbox_bytes_max.",
            Reason::ServerShuttingDown => "Nothing: clients connect to another node.",
        }
    }

    /// The WebSocket close code that tells a client what the reason means for it.
    pub fn close_code(self) -> u16 {
        match self {
            Reason::ClientNamespaceDisconnect
            | Reason::ServerNamespaceDisconnect
            | Reason::TransportClose => 1000,
            Reason::TransportError | Reason::ParseError => 1002,
            Reason::PingTimeout | Reason::ConnectTimeout | Reason::UpgradeTimeout => 1008,
            Reason::ServerShuttingDown => 1012,
            Reason::SlowConsumer => 1013,
        }
    }
}
