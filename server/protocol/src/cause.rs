//! Causes: the fixed sets of names under which a drop, a refusal or an ending is counted and explained.
//!
//! Owns the form of a cause (its label in the metrics, one line that explains it, one that says what to do) and the
//! counter over all causes of one set. It never holds text that came from a client.
//!
//! Invariant: every cause of a set is counted from the start, so that a metric shows it at 0 before it first happens.

use alloc::{boxed::Box, vec};
use core::{fmt, marker::PhantomData};

/// One of a fixed set of causes.
pub trait Cause: Copy + fmt::Debug + PartialEq + 'static {
    /// Every cause of the set, in the order of [`Cause::index`].
    const ALL: &'static [Self];

    /// The position in [`Cause::ALL`].
    fn index(self) -> usize;

    /// The label in the metrics and in the log.
    fn as_str(self) -> &'static str;

    /// One line that explains it to an operator.
    fn meaning(self) -> &'static str;

    /// One line that says what an operator can do about it.
    fn remedy(self) -> &'static str;
}

/// Declares a set of causes: an enum whose variants each have a label, a meaning (also their documentation) and a
/// remedy.
///
/// ```
/// moorline_protocol::causes! {
///     /// Why a letter came back.
///     pub enum Returned {
///         /// The house has nobody of that name.
///         Unknown = "unknown" => "Compare the name with the list.",
///     }
/// }
/// use moorline_protocol::Cause;
/// assert_eq!(Returned::ALL, [Returned::Unknown]);
/// assert_eq!(Returned::Unknown.meaning(), "The house has nobody of that name.");
/// ```
///
/// A cause that nobody explains does not compile:
///
/// ```compile_fail
/// moorline_protocol::causes! {
///     /// Why a letter came back.
///     pub enum Returned {
///         Unknown = "unknown" => "Compare the name with the list.",
///     }
/// }
/// ```
#[macro_export]
macro_rules! causes {
    (
        $(#[$outer:meta])*
        $vis:vis enum $name:ident {
            $( $(#[doc = $meaning:literal])+ $variant:ident = $label:literal => $remedy:literal, )+
        }
    ) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        $vis enum $name {
            $( $(#[doc = $meaning])+ $variant, )+
        }

        impl $crate::Cause for $name {
            const ALL: &'static [$name] = &[$( $name::$variant ),+];

            fn index(self) -> usize {
                self as usize
            }

            fn as_str(self) -> &'static str {
                match self { $( $name::$variant => $label, )+ }
            }

            fn meaning(self) -> &'static str {
                match self { $( $name::$variant => concat!($($meaning),+).trim_ascii(), )+ }
            }

            fn remedy(self) -> &'static str {
                match self { $( $name::$variant => $remedy, )+ }
            }
        }
    };
}

/// The count of each cause of a set.
#[derive(Clone)]
pub struct Tally<C> {
    counts: Box<[u64]>,
    causes: PhantomData<C>,
}

impl<C: Cause> Tally<C> {
    /// Counts one occurrence.
    pub fn add(&mut self, cause: C) {
        if let Some(count) = self.counts.get_mut(cause.index()) {
            *count += 1;
        }
    }

    /// The count of this cause.
    pub fn get(&self, cause: C) -> u64 {
        self.counts.get(cause.index()).copied().unwrap_or(0)
    }

    /// Every cause of the set with its count, those at 0 included.
    pub fn iter(&self) -> impl Iterator<Item = (C, u64)> {
        C::ALL.iter().copied().zip(self.counts.iter().copied())
    }

    /// The causes that occurred, with their counts.
    pub fn occurred(&self) -> impl Iterator<Item = (C, u64)> {
        self.iter().filter(|(_, count)| *count > 0)
    }

    /// Whether no cause occurred.
    pub fn is_empty(&self) -> bool {
        self.total() == 0
    }

    /// The sum over all causes.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl<C: Cause> Default for Tally<C> {
    fn default() -> Tally<C> {
        Tally { counts: vec![0; C::ALL.len()].into(), causes: PhantomData }
    }
}

impl<C: Cause> fmt::Debug for Tally<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.occurred().map(|(cause, count)| (cause.as_str(), count))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    crate::causes! {
        /// A set of two.
        enum Pair {
            /// The one that happens.
            Happens = "happens" => "Look at it.",
            /// The one that never does.
            Never = "never" => "Do nothing.",
        }
    }

    #[test]
    fn a_set_knows_its_causes_and_what_they_say() {
        assert_eq!(Pair::ALL, [Pair::Happens, Pair::Never]);
        assert_eq!(Pair::ALL.iter().map(|cause| cause.index()).collect::<Vec<_>>(), [0, 1]);
        let cause = Pair::Never;
        let texts = (cause.as_str(), cause.meaning(), cause.remedy());
        assert_eq!(texts, ("never", "The one that never does.", "Do nothing."));
    }

    #[test]
    fn a_tally_lists_what_never_occurred_at_zero() {
        let mut tally = Tally::<Pair>::default();
        assert!(tally.is_empty());
        tally.add(Pair::Happens);
        tally.add(Pair::Happens);
        assert_eq!(tally.iter().collect::<Vec<_>>(), [(Pair::Happens, 2), (Pair::Never, 0)]);
        assert_eq!((tally.get(Pair::Happens), tally.get(Pair::Never), tally.total()), (2, 0, 2));
        assert_eq!(tally.occurred().collect::<Vec<_>>(), [(Pair::Happens, 2)]);
    }
}
