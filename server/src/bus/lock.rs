//! Locking of the state that the loop and the bus threads share.
//!
//! Owns the rule for a poisoned lock. It never waits for anything but the lock itself.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also after a panic elsewhere: no critical section here can leave its data half changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
