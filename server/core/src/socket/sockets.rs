//! The sockets of a node: one client in one namespace each.
//!
//! Owns the sockets and what each waits for. It never sends anything.
//!
//! Invariant: a socket is reached by its own key or by an id that is compared whole, so a place that is used again
//! never answers to an old id.

use crate::words::{
    ids::{Entropy, NodeTag, SocketId},
    keys::{NamespaceKey, RoomKey, SessionKey, SocketKey, Table},
};
use alloc::vec::Vec;
use core::ops::Index;

/// One client in one namespace.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) id: SocketId,
    pub(crate) session: SessionKey,
    pub(crate) namespace: NamespaceKey,
    rooms: Vec<RoomKey>,
    /// Whether its client was told that it is connected; before that it receives nothing.
    is_connected: bool,
    /// Acknowledgements its client waits for.
    pending_acks: usize,
    /// Bytes gathered for its requests that are still open.
    gathered_bytes: usize,
}

impl Socket {
    /// The rooms it is in.
    pub(crate) fn rooms(&self) -> &[RoomKey] {
        &self.rooms
    }

    /// Whether it receives already.
    pub(crate) fn is_connected(&self) -> bool {
        self.is_connected
    }

    pub(crate) fn pending_acks(&self) -> usize {
        self.pending_acks
    }

    pub(crate) fn gathered_bytes(&self) -> usize {
        self.gathered_bytes
    }
}

#[derive(Debug, Default)]
pub(crate) struct Sockets {
    table: Table<SocketKey, Socket>,
}

impl Sockets {
    /// Inserts a socket that receives nothing yet.
    pub(crate) fn insert(
        &mut self,
        tag: NodeTag,
        session: SessionKey,
        namespace: NamespaceKey,
        entropy: &mut dyn Entropy,
    ) -> SocketKey {
        let id = SocketId::new(tag, self.table.next_slot(), entropy);
        self.table.insert(Socket {
            id,
            session,
            namespace,
            rooms: Vec::new(),
            is_connected: false,
            pending_acks: 0,
            gathered_bytes: 0,
        })
    }

    pub(crate) fn remove(&mut self, key: SocketKey) -> Socket {
        self.table.remove(key)
    }

    /// The socket that `id` addresses, if it lives and lives here.
    pub(crate) fn find(&self, id: SocketId) -> Option<SocketKey> {
        let (key, socket) = self.table.at_slot(id.slot())?;
        (socket.id == id).then_some(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SocketKey, &Socket)> {
        self.table.iter()
    }

    /// Its client was told that it is connected: from now on it receives.
    pub(crate) fn mark_connected(&mut self, key: SocketKey) {
        self.table[key].is_connected = true;
    }

    pub(crate) fn insert_room(&mut self, key: SocketKey, room: RoomKey) {
        self.table[key].rooms.push(room);
    }

    pub(crate) fn remove_room(&mut self, key: SocketKey, room: RoomKey) {
        self.table[key].rooms.retain(|at| *at != room);
    }

    /// Its client waits for one more acknowledgement.
    pub(crate) fn start_ack(&mut self, key: SocketKey) {
        self.table[key].pending_acks += 1;
    }

    /// One of the acknowledgements its client waits for has ended.
    pub(crate) fn end_ack(&mut self, key: SocketKey) {
        let pending = &mut self.table[key].pending_acks;
        *pending = pending.saturating_sub(1);
    }

    /// The bytes gathered for the open requests of a socket, for a collector to add to.
    pub(crate) fn gathered_bytes_mut(&mut self, key: SocketKey) -> &mut usize {
        &mut self.table[key].gathered_bytes
    }

    /// A request is over: its collector held this much.
    pub(crate) fn forget_gathered(&mut self, key: SocketKey, bytes: usize) {
        self.table[key].gathered_bytes -= bytes;
    }
}

impl Index<SocketKey> for Sockets {
    type Output = Socket;

    fn index(&self, key: SocketKey) -> &Socket {
        &self.table[key]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::ids::tests::Counter;

    fn two() -> (Sockets, [SocketKey; 2]) {
        let mut entropy = Counter(0);
        let tag = NodeTag::random(&mut entropy);
        let (session, namespace) =
            (Table::<_, ()>::default().insert(()), Table::<_, ()>::default().insert(()));
        let mut sockets = Sockets::default();
        let keys = [(); 2].map(|()| sockets.insert(tag, session, namespace, &mut entropy));
        (sockets, keys)
    }

    #[test]
    fn an_id_finds_its_socket_and_not_the_next_one_in_its_place() {
        let (mut sockets, [first, second]) = two();
        let (old, tag) = (sockets[first].id, sockets[first].id.tag());
        assert_eq!((sockets.find(old), old.slot()), (Some(first), 0));
        let removed = sockets.remove(first);
        assert_eq!((removed.id, sockets.find(old)), (old, None));
        let (session, namespace) = (removed.session, removed.namespace);
        assert_eq!(sockets.insert(tag, session, namespace, &mut Counter(9)), first);
        assert_eq!((sockets.find(old), sockets.find(sockets[second].id)), (None, Some(second)));
    }

    #[test]
    fn acks_and_rooms_are_counted_each_by_itself() {
        let (mut sockets, [key, _]) = two();
        let room = Table::<_, ()>::default().insert(());
        sockets.start_ack(key);
        sockets.end_ack(key);
        sockets.end_ack(key);
        sockets.insert_room(key, room);
        assert_eq!((sockets[key].pending_acks(), sockets[key].rooms()), (0, &[room][..]));
        sockets.remove_room(key, room);
        *sockets.gathered_bytes_mut(key) += 5;
        sockets.forget_gathered(key, 2);
        assert_eq!((sockets[key].rooms().len(), sockets[key].gathered_bytes()), (0, 3));
    }
}
