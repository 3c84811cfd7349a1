//! Socket.IO v5: namespaces, events and acknowledgements inside Engine.IO messages.

pub mod event;
pub mod packet;

pub use event::{is_reserved, is_socket_id};
pub use packet::{Kind, Packet, decode};
