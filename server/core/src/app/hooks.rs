//! An application as a node sees it: the hooks it is called on.
//!
//! Owns the trait. Hooks are synchronous and must return quickly: the node serves nobody else meanwhile. An outcome
//! that takes other nodes comes later, as a [`Completion`].

use crate::{
    app::context::Context,
    words::{
        completion::Completion,
        event::{Connect, Data, Disconnect, Event, Refusal},
        ids::SessionId,
    },
};

/// An application. Every hook but `event` has a sensible default.
///
/// ```
/// use moorline_core::{App, Args, Context, Event};
///
/// /// Answers every event with its own arguments.
/// struct Echo;
///
/// impl App for Echo {
///     fn event(&mut self, context: &mut Context<'_>, event: &Event<'_>) {
///         if let Some(ack) = event.ack {
///             context.acknowledge(ack, &Args::of(event));
///         }
///     }
/// }
/// ```
pub trait App {
    /// A client asks to join a namespace. It receives nothing before this hook has let it in.
    ///
    /// # Errors
    /// A refusal is final for a stock client: it does not try again by itself.
    fn connect(&mut self, _context: &mut Context<'_>, _connect: &Connect<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    /// A client was let in and has been told so: everything sent to it from now on arrives.
    fn connected(&mut self, _context: &mut Context<'_>, _connect: &Connect<'_>) {}

    /// A client sent an event.
    fn event(&mut self, context: &mut Context<'_>, event: &Event<'_>);

    /// A command given earlier has its outcome.
    fn completed(&mut self, _context: &mut Context<'_>, _completion: &Completion) {}

    /// A socket has ended; its id addresses nobody any more.
    fn disconnect(&mut self, _context: &mut Context<'_>, _disconnect: &Disconnect) {}

    /// A message of a session that speaks Engine.IO alone.
    fn message(&mut self, _context: &mut Context<'_>, _session: SessionId, _data: Data<'_>) {}
}
