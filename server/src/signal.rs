//! Signals: SIGTERM drains, a second one and SIGINT end at once.
//!
//! Owns the signal handlers of the process. It never ends anything itself.

use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals as MioSignals;
use std::io;

/// The request of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// Close everyone gently, then end.
    Drain,
    /// End now, with this exit code.
    End(u8),
}

pub(crate) struct Signals {
    signals: MioSignals,
    has_drained: bool,
}

impl Signals {
    /// Takes over SIGTERM and SIGINT of this process.
    pub(crate) fn register(registry: &Registry, token: Token) -> io::Result<Signals> {
        let mut signals = MioSignals::new([SIGINT, SIGTERM])?;
        registry.register(&mut signals, token, Interest::READABLE)?;
        Ok(Signals { signals, has_drained: false })
    }

    /// The weightiest request among the signals that came in.
    pub(crate) fn take(&mut self) -> Option<Request> {
        let mut request = None;
        for signal in self.signals.pending() {
            let is_end = signal == SIGINT || self.has_drained;
            self.has_drained = true;
            // 128 + the signal's number, as shells report it.
            let end = || Request::End(128 + u8::try_from(signal).unwrap_or(0));
            request = Some(if is_end { end() } else { request.unwrap_or(Request::Drain) });
        }
        request
    }
}
