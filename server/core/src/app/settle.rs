//! The end of every input: sessions that were marked are closed, and the application is told what it was not told yet.
//!
//! Owns the order of the two. It never marks anything itself, but hooks may.

use crate::{
    app::{context::Context, hooks::App},
    socket::moves::{close_disconnecting, close_marked},
    state::{Ended, State},
    words::event::Disconnect,
};
use core::mem;

/// Closes and tells until nothing is left: hooks may mark more.
pub(crate) fn settle<A: App>(app: &mut A, state: &mut State) {
    loop {
        close_disconnecting(state);
        close_marked(state);
        if let Some(Ended { socket, namespace: namespace_key, reason }) = state.ended.pop() {
            let namespace = state.namespaces[namespace_key].clone();
            let disconnect = Disconnect { socket, namespace, reason, namespace_key };
            app.disconnect(&mut Context::new(state), &disconnect);
        } else if !state.completions.is_empty() {
            for completion in mem::take(&mut state.completions) {
                app.completed(&mut Context::new(state), &completion);
            }
        } else if state.sessions.closing_len() == 0 {
            return;
        }
    }
}
