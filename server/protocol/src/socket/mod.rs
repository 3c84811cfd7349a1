//! Socket.IO v5: namespaces, events and acknowledgements inside Engine.IO messages.

mod event;
mod packet;

pub use event::{SOCKET_ID_CHARS, is_reserved, is_socket_id};
pub use packet::{
    ACK_ID_MAX, Envelope, Kind, Packet, ack, connect, connect_error, connected, decode, disconnect, event,
    with_ack,
};
