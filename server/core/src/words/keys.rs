//! Keys of a node's tables, the table they lead into, and maps and sets of them.
//!
//! Owns the rule that only a table makes a key: a key is opaque, so a number cannot be taken for one, nor the key of
//! one table for that of another. It never says what a table holds.
//!
//! Invariant: a key that a table gave out leads to its entry until that entry is removed.

use self::sealed::TableKey;
use crate::words::slot_set::SlotSet;
use alloc::vec::Vec;
use core::{marker::PhantomData, ops::Index, ops::IndexMut};
use slab::Slab;

/// Private, so that nothing outside this file turns a number into a key.
mod sealed {
    pub(crate) trait TableKey: Copy {
        fn from_slot(slot: u32) -> Self;
        fn to_slot(self) -> u32;
    }
}

macro_rules! keys {
    ($($(#[$meta:meta])* $vis:vis $name:ident;)+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        $vis struct $name(u32);

        impl TableKey for $name {
            fn from_slot(slot: u32) -> $name {
                $name(slot)
            }

            fn to_slot(self) -> u32 {
                self.0
            }
        }
    )+};
}

keys! {
    /// A session's place in the session table.
    ///
    /// Keys of two tables are two types. This compiles:
    ///
    /// ```
    /// use moorline_core::{RoomKey, SessionKey};
    /// fn close(session: SessionKey, room: RoomKey) {}
    /// fn close_both(session: SessionKey, room: RoomKey) {
    ///     close(session, room);
    /// }
    /// ```
    ///
    /// With the arguments swapped it does not:
    ///
    /// ```compile_fail,E0308
    /// use moorline_core::{RoomKey, SessionKey};
    /// fn close(session: SessionKey, room: RoomKey) {}
    /// fn close_both(session: SessionKey, room: RoomKey) {
    ///     close(room, session);
    /// }
    /// ```
    pub SessionKey;

    /// A socket's place in the socket table.
    pub(crate) SocketKey;

    /// A room's place in the room table.
    pub RoomKey;

    /// A namespace's place in the table of namespaces.
    pub(crate) NamespaceKey;
}

/// A table whose places are used again, reached by keys of its own type.
#[derive(Debug)]
pub(crate) struct Table<K, V> {
    slots: Slab<V>,
    keys: PhantomData<K>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Table<K, V> {
        Table { slots: Slab::new(), keys: PhantomData }
    }
}

impl<K: TableKey, V> Table<K, V> {
    /// The place that the next inserted entry will have, as ids carry it.
    pub(crate) fn next_slot(&self) -> u32 {
        slot(self.slots.vacant_key())
    }

    pub(crate) fn insert(&mut self, value: V) -> K {
        K::from_slot(slot(self.slots.insert(value)))
    }

    pub(crate) fn remove(&mut self, key: K) -> V {
        self.slots.remove(key.to_slot() as usize)
    }

    /// The key and entry of a place that an id names, if that place is taken.
    pub(crate) fn at_slot(&self, slot: u32) -> Option<(K, &V)> {
        Some((K::from_slot(slot), self.slots.get(slot as usize)?))
    }

    /// The place of an entry, as ids carry it.
    pub(crate) fn slot(&self, key: K) -> u32 {
        debug_assert!(self.get(key).is_some(), "a key leads to its entry");
        key.to_slot()
    }

    pub(crate) fn get(&self, key: K) -> Option<&V> {
        self.slots.get(key.to_slot() as usize)
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.slots.get_mut(key.to_slot() as usize)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.slots.iter().map(|(at, value)| (K::from_slot(slot(at)), value))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (K, &mut V)> {
        self.slots.iter_mut().map(|(at, value)| (K::from_slot(slot(at)), value))
    }
}

impl<K: TableKey, V> Index<K> for Table<K, V> {
    type Output = V;

    fn index(&self, key: K) -> &V {
        &self.slots[key.to_slot() as usize]
    }
}

impl<K: TableKey, V> IndexMut<K> for Table<K, V> {
    fn index_mut(&mut self, key: K) -> &mut V {
        &mut self.slots[key.to_slot() as usize]
    }
}

/// One value for each key of a table, made when it is first needed.
#[derive(Debug)]
pub(crate) struct KeyMap<K, V> {
    values: Vec<V>,
    keys: PhantomData<K>,
}

impl<K, V> Default for KeyMap<K, V> {
    fn default() -> KeyMap<K, V> {
        KeyMap { values: Vec::new(), keys: PhantomData }
    }
}

impl<K: TableKey, V: Default> KeyMap<K, V> {
    pub(crate) fn get(&self, key: K) -> Option<&V> {
        self.values.get(key.to_slot() as usize)
    }

    pub(crate) fn get_mut(&mut self, key: K) -> &mut V {
        let at = key.to_slot() as usize;
        if at >= self.values.len() {
            self.values.resize_with(at + 1, V::default);
        }
        &mut self.values[at]
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.values.iter()
    }
}

/// A set of keys of one table, in the order of their places.
#[derive(Debug)]
pub(crate) struct KeySet<K> {
    slots: SlotSet,
    keys: PhantomData<K>,
}

impl<K> Default for KeySet<K> {
    fn default() -> KeySet<K> {
        KeySet { slots: SlotSet::default(), keys: PhantomData }
    }
}

impl<K: TableKey> KeySet<K> {
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn contains(&self, key: K) -> bool {
        self.slots.contains(key.to_slot())
    }

    /// Puts a key in; false when it was in.
    pub(crate) fn insert(&mut self, key: K) -> bool {
        self.slots.insert(key.to_slot())
    }

    /// Takes a key out; false when it was not in.
    pub(crate) fn remove(&mut self, key: K) -> bool {
        self.slots.remove(key.to_slot())
    }

    /// Puts every key of another set in, 64 places at a time.
    pub(crate) fn union_with(&mut self, other: &KeySet<K>) {
        self.slots.union_with(&other.slots);
    }

    /// The keys, in the order of their places.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = K> {
        self.slots.iter().map(K::from_slot)
    }

    /// Panics when the set is not as it should be.
    #[cfg(debug_assertions)]
    pub(crate) fn check_invariants(&self) {
        self.slots.check_invariants();
    }
}

impl<K: TableKey> Extend<K> for KeySet<K> {
    fn extend<I: IntoIterator<Item = K>>(&mut self, keys: I) {
        keys.into_iter().for_each(|key| _ = self.insert(key));
    }
}

/// A place as the 32 bits that ids hold. The shell bounds the sessions far below that, and each has few sockets.
fn slot(at: usize) -> u32 {
    debug_assert!(u32::try_from(at).is_ok(), "a table outgrew its ids");
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_leads_to_its_entry_until_that_is_removed_and_its_place_is_used_again() {
        let mut table = Table::<SocketKey, &str>::default();
        let expected = table.next_slot();
        let first = table.insert("first");
        let second = table.insert("second");
        assert_eq!((table.slot(first), table[first], table[second]), (expected, "first", "second"));
        assert_eq!(table.at_slot(1), Some((second, &"second")));
        assert_eq!(table.remove(first), "first");
        assert_eq!((table.get(first), table.at_slot(0), table.len()), (None, None, 1));
        assert_eq!(table.insert("third"), first, "the place is used again");
        let all: Vec<_> = table.iter().map(|(key, value)| (table.slot(key), *value)).collect();
        assert_eq!(all, [(0, "third"), (1, "second")]);
    }

    #[test]
    fn a_map_has_a_value_for_every_key_that_was_asked_for() {
        let mut table = Table::<RoomKey, ()>::default();
        let [first, second] = [(); 2].map(|()| table.insert(()));
        let mut map = KeyMap::<RoomKey, u8>::default();
        *map.get_mut(second) = 7;
        assert_eq!((map.get(first), map.get(second), map.values().sum::<u8>()), (Some(&0), Some(&7), 7));
        assert_eq!(KeyMap::<RoomKey, u8>::default().get(first), None);
    }

    #[test]
    fn a_set_has_the_keys_that_were_put_in_in_the_order_of_their_places() {
        let mut table = Table::<SocketKey, ()>::default();
        let [first, second, third] = [(); 3].map(|()| table.insert(()));
        let (mut set, mut other) = (KeySet::default(), KeySet::default());
        assert!(set.is_empty() && set.insert(third) && !set.insert(third) && set.insert(first));
        assert!(set.contains(third) && !set.contains(second) && !set.remove(second));
        other.extend([second]);
        set.union_with(&other);
        assert_eq!((set.iter().collect::<Vec<_>>(), set.len()), (Vec::from([first, second, third]), 3));
        assert!(set.remove(first) && set.iter().eq([second, third]));
        set.check_invariants();
    }
}
