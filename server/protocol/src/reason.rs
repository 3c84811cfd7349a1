//! Reasons for which a socket ended, in the words Socket.IO users know.
//!
//! Owns the reasons, their labels and their explanations. It never ends anything.

use crate::Cause;

crate::causes! {
    /// The reason handed to an application and counted when a socket disconnects. Its label is Socket.IO's own where
    /// Socket.IO has it.
    #[non_exhaustive]
    pub enum Reason {
        /// The client left.
        ClientNamespaceDisconnect = "client namespace disconnect" => "Nothing: this is meant.",
        /// The application put the client out.
        ServerNamespaceDisconnect = "server namespace disconnect" => "Nothing: this is meant.",
        /// The connection went away, or the client closed its session.
        TransportClose = "transport close" => "Nothing: pages are closed. A jump means a proxy or network that cuts connections.",
        /// The connection broke, or broke its own protocol.
        TransportError = "transport error" => "A jump means a proxy or network that breaks connections.",
        /// The client did not answer a heartbeat in time.
        PingTimeout = "ping timeout" => "Look at the clients' network, or raise --ping-timeout.",
        /// The client sent bytes that are not a packet.
        ParseError = "parse error" => "`drops_total` says which rule was broken.",
        /// The client opened a session and joined no namespace in time.
        ConnectTimeout = "connect timeout" => "Something connects that is no Socket.IO client, or --connect-timeout is short.",
        /// The client opened a WebSocket and did not move to it in time.
        UpgradeTimeout = "upgrade timeout" => "Check the WebSocket support of the proxies before this node.",
        /// The client read too slowly and its outbox was full.
        SlowConsumer = "slow consumer" => "Send less to slow clients, or raise --limit outbox_bytes_max.",
        /// This node is draining.
        ServerShuttingDown = "server shutting down" => "Nothing: clients connect to another node.",
    }
}

impl Reason {
    /// The label.
    pub fn as_str(self) -> &'static str {
        Cause::as_str(self)
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
