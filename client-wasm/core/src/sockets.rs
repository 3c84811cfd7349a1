//! The sockets of a client, in the order in which they were added.
//!
//! Owns the table and its keys. It never changes a socket. Invariant: a socket is never removed, so a key stays valid.

use crate::{SocketOptions, socket::Socket};
use alloc::{string::String, vec::Vec};

/// A socket of a [`Client`](crate::Client), as `add_socket` returned it.
///
/// Keys are types of their own, so swapped arguments do not compile:
///
/// ```compile_fail,E0308
/// # use moorline_client_core::{Client, SocketKey, Ticket, Time};
/// fn authorize(client: &mut Client, now: Time, socket: SocketKey, ticket: Ticket) {
///     client.authorize(now, ticket, socket, "");
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SocketKey(u32);

impl SocketKey {
    /// The number of the socket, counted from zero, for a log or for a language that has only numbers.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The key of the socket with this number, as it comes back from such a language. Every method of a client
    /// ignores the key of no socket.
    pub fn from_number(number: u32) -> SocketKey {
        SocketKey(number)
    }

    fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Sockets {
    sockets: Vec<Socket>,
}

impl Sockets {
    pub(crate) fn insert(&mut self, namespace: String, options: SocketOptions) -> SocketKey {
        let number = self.count();
        self.sockets.push(Socket::new(namespace, options));
        SocketKey(number)
    }

    /// The key of the socket of this namespace.
    pub(crate) fn find(&self, namespace: &str) -> Option<SocketKey> {
        self.keys().zip(&self.sockets).find(|(_, socket)| socket.namespace == namespace).map(|(key, _)| key)
    }

    /// Every key. They may be used while the sockets change.
    pub(crate) fn keys(&self) -> impl Iterator<Item = SocketKey> + use<> {
        (0..self.count()).map(SocketKey)
    }

    pub(crate) fn get(&self, key: SocketKey) -> Option<&Socket> {
        self.sockets.get(key.index())
    }

    pub(crate) fn get_mut(&mut self, key: SocketKey) -> Option<&mut Socket> {
        self.sockets.get_mut(key.index())
    }

    pub(crate) fn iter(&self) -> core::slice::Iter<'_, Socket> {
        self.sockets.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> core::slice::IterMut<'_, Socket> {
        self.sockets.iter_mut()
    }

    fn count(&self) -> u32 {
        u32::try_from(self.sockets.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> (Sockets, [SocketKey; 2]) {
        let mut sockets = Sockets::default();
        let keys = ["/", "/admin"].map(|name| sockets.insert(name.into(), SocketOptions::default()));
        (sockets, keys)
    }

    #[test]
    fn a_key_finds_its_socket() {
        let (sockets, [main, admin]) = table();
        assert_eq!(sockets.get(admin).map(|socket| socket.namespace.as_str()), Some("/admin"));
        assert_eq!((main.number(), SocketKey::from_number(1)), (0, admin));
        assert_eq!((sockets.find("/"), sockets.find("/other")), (Some(main), None));
        assert!(sockets.keys().eq([main, admin]));
    }

    #[test]
    fn a_key_of_another_client_finds_nothing() {
        let (_, [_, admin]) = table();
        assert!(Sockets::default().get(admin).is_none());
    }
}
