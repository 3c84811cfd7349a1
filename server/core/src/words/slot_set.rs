//! Sets of places in a table, as bits.
//!
//! Owns the form: 64 places a word, words without a member left out, the others in order. It never says which table the
//! places belong to; `KeySet` does.
//!
//! A table gives out the lowest places it has, so members of one room stand close together. Walking such a set reads a
//! few words in a row, and two sets are put together word by word.
//!
//! Invariants: words ascend, none is empty, and the length is the number of bits.

use alloc::vec::Vec;

/// Places of one word.
const WIDTH: u32 = u64::BITS;

/// 64 places side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    /// The place of its lowest bit, divided by 64.
    at: u32,
    bits: u64,
}

impl Word {
    /// The word of one place alone.
    fn of(slot: u32) -> Word {
        Word { at: slot / WIDTH, bits: 1 << (slot % WIDTH) }
    }
}

/// A set of places, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SlotSet {
    words: Vec<Word>,
    len: usize,
}

impl SlotSet {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn contains(&self, slot: u32) -> bool {
        let word = Word::of(slot);
        self.find(word).is_ok_and(|index| self.words[index].bits & word.bits != 0)
    }

    /// Puts a place in; false when it was in.
    pub(crate) fn insert(&mut self, slot: u32) -> bool {
        let word = Word::of(slot);
        match self.find(word) {
            Ok(index) if self.words[index].bits & word.bits != 0 => return false,
            Ok(index) => self.words[index].bits |= word.bits,
            Err(index) => self.words.insert(index, word),
        }
        self.len += 1;
        true
    }

    /// Takes a place out; false when it was not in.
    pub(crate) fn remove(&mut self, slot: u32) -> bool {
        let word = Word::of(slot);
        let Ok(index) = self.find(word) else { return false };
        let bits = &mut self.words[index].bits;
        if *bits & word.bits == 0 {
            return false;
        }
        *bits &= !word.bits;
        if *bits == 0 {
            self.words.remove(index);
            self.release_spare();
        }
        self.len -= 1;
        true
    }

    /// Puts every place of another set in. It costs a step for each word of the other one; places in between that were
    /// missing cost one for each word of both.
    pub(crate) fn union_with(&mut self, other: &SlotSet) {
        let (known, mut from) = (self.words.len(), 0);
        for word in &other.words {
            let is_next = self.words[from..known].first().is_some_and(|next| next.at == word.at);
            let found = if is_next { Ok(0) } else { find(&self.words[from..known], *word) };
            from += found.unwrap_or_else(|index| index);
            if found.is_ok() {
                let bits = &mut self.words[from].bits;
                self.len += (word.bits & !*bits).count_ones() as usize;
                *bits |= word.bits;
                from += 1;
            } else {
                self.len += word.bits.count_ones() as usize;
                self.words.push(*word);
            }
        }
        if self.words.len() > known {
            // Two runs that ascend: a stable sort merges them.
            self.words.sort_by_key(|word| word.at);
        }
    }

    pub(crate) fn iter(&self) -> Iter<'_> {
        Iter { words: self.words.iter(), word: Word { at: 0, bits: 0 }, left: self.len }
    }

    fn find(&self, word: Word) -> Result<usize, usize> {
        find(&self.words, word)
    }

    /// A set that has lost most of its words does not keep the memory of its greatest size.
    fn release_spare(&mut self) {
        if self.words.len() < self.words.capacity() / 4 {
            self.words.shrink_to(self.words.len() * 2);
        }
    }

    /// Panics when the words are not as they should be.
    #[cfg(debug_assertions)]
    pub(crate) fn check_invariants(&self) {
        assert!(self.words.is_sorted_by(|a, b| a.at < b.at), "words ascend");
        assert!(self.words.iter().all(|word| word.bits != 0), "no word is empty");
        let bits: usize = self.words.iter().map(|word| word.bits.count_ones() as usize).sum();
        assert_eq!(bits, self.len, "the length is the number of bits");
    }
}

fn find(words: &[Word], word: Word) -> Result<usize, usize> {
    words.binary_search_by_key(&word.at, |word| word.at)
}

/// The places of a set, ascending.
#[derive(Debug, Clone)]
pub(crate) struct Iter<'a> {
    words: core::slice::Iter<'a, Word>,
    /// The word under way, with the bits that are still to come.
    word: Word,
    left: usize,
}

impl Iterator for Iter<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        while self.word.bits == 0 {
            self.word = *self.words.next()?;
        }
        let slot = self.word.at * WIDTH + self.word.bits.trailing_zeros();
        self.word.bits &= self.word.bits - 1;
        self.left -= 1;
        Some(slot)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    fn set(slots: impl IntoIterator<Item = u32>) -> SlotSet {
        let mut set = SlotSet::default();
        slots.into_iter().for_each(|slot| _ = set.insert(slot));
        set.check_invariants();
        set
    }

    fn slots(set: &SlotSet) -> Vec<u32> {
        set.iter().collect()
    }

    #[test]
    fn a_place_is_in_once_and_the_highest_there_is_fits() {
        let mut set = SlotSet::default();
        assert!(set.insert(u32::MAX) && !set.insert(u32::MAX) && set.insert(0) && set.insert(63));
        assert_eq!((slots(&set), set.len()), (Vec::from([0, 63, u32::MAX]), 3));
        assert!(set.contains(63) && !set.contains(62) && !set.contains(64));
        assert!(set.remove(63) && !set.remove(63) && !set.remove(64) && set.remove(u32::MAX));
        assert_eq!((slots(&set), set.len()), (Vec::from([0]), 1));
        set.check_invariants();
    }

    #[test]
    fn a_union_holds_the_places_of_both_whichever_words_they_stand_in() {
        let sides: [&[u32]; 6] = [&[], &[1], &[64, 65], &[1, 64, 700], &[130, 200, 300], &[u32::MAX]];
        for (left, right) in sides.iter().flat_map(|left| sides.iter().map(move |right| (left, right))) {
            let mut union = set(left.iter().copied());
            union.union_with(&set(right.iter().copied()));
            union.check_invariants();
            let expected: BTreeSet<u32> = left.iter().chain(*right).copied().collect();
            assert!(union.iter().eq(expected), "{left:?} and {right:?}");
        }
    }

    #[test]
    fn a_set_that_shrinks_gives_its_memory_back() {
        let mut set = set((0..1000).map(|at| at * WIDTH));
        (1..1000).for_each(|at| assert!(set.remove(at * WIDTH)));
        assert!(set.words.capacity() <= 4, "{} words for one", set.words.capacity());
    }

    /// The same steps on a set of the standard library, with places close together and far apart.
    #[test]
    fn any_steps_leave_what_they_leave_in_a_set_of_numbers() {
        for (seed, range) in (0..40).zip([70, 700, 100_000].into_iter().cycle()) {
            let mut random = Random(seed);
            let (mut set, mut model) = (SlotSet::default(), BTreeSet::new());
            for step in 0..2000 {
                let slot = random.below(range);
                match random.below(8) {
                    0..4 => assert_eq!(set.insert(slot), model.insert(slot)),
                    4..7 => assert_eq!(set.remove(slot), model.remove(&slot)),
                    _ => {
                        let more: Vec<u32> = (0..random.below(20)).map(|_| random.below(range)).collect();
                        set.union_with(&self::set(more.iter().copied()));
                        model.extend(more);
                    }
                }
                assert_eq!((set.contains(slot), set.len()), (model.contains(&slot), model.len()));
                if step % 50 == 0 {
                    set.check_invariants();
                    assert!(set.iter().eq(model.iter().copied()), "seed {seed}, step {step}");
                    assert_eq!(set.iter().len(), model.len());
                }
            }
        }
    }

    /// Numbers from a seed (SplitMix64).
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: u32) -> u32 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut bits = self.0;
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            u32::try_from(bits >> 32).unwrap() % bound
        }
    }
}
