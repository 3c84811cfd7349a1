//! A server as the official test suites of Engine.IO v4 and Socket.IO v5 expect it, on port 3000:
//! `cargo run -p moorline --example conformance`
//!
//! Engine.IO's suite wants every message back, on `/engine.io/`. Socket.IO's wants three rules, on `/socket.io/`.

use moorline::embed::{
    App, Args, Connect, Context, Data, Emit, Event, PendingAck, SessionId, SocketId, Target, run,
};
use std::{process::ExitCode, time::Duration};

struct Conformance;

impl App for Conformance {
    fn connected(&mut self, context: &mut Context<'_>, connect: &Connect<'_>) {
        let auth = match connect.auth {
            Some(auth) => Args::new().raw(auth),
            None => Args::new().value(&serde_json::json!({})),
        };
        emit(context, connect.namespace, connect.socket, "auth", &auth);
    }

    fn event(&mut self, context: &mut Context<'_>, event: &Event<'_>) {
        let args = Args::of(event);
        match (&*event.name, event.ack) {
            ("message", _) => emit(context, event.namespace, event.socket, "message-back", &args),
            ("message-with-ack", Some(ack)) => answer(context, ack, &args),
            _ => {}
        }
    }

    fn message(&mut self, context: &mut Context<'_>, session: SessionId, data: Data<'_>) {
        context.send_message(session, data);
    }
}

fn emit(context: &mut Context<'_>, namespace: &str, socket: SocketId, event: &str, args: &Args) {
    let target = [Target::Socket(socket)];
    if let Err(code) = context.emit(&Emit::new(namespace, &target, event, args)) {
        context.count_refusal(code);
    }
}

fn answer(context: &mut Context<'_>, ack: PendingAck, args: &Args) {
    context.acknowledge(ack, args);
}

fn main() -> ExitCode {
    run(Conformance, |settings| {
        settings.engine_path = Some(String::from("/engine.io/"));
        settings.namespaces = vec![String::from("/"), String::from("/custom")];
        settings.allow_origins = vec![moorline::wire::origin::OriginPattern::Any];
        settings.limits.ping_interval = Duration::from_millis(300);
        settings.limits.ping_timeout = Duration::from_millis(200);
        settings.limits.ping_jitter = false;
        settings.limits.connect_timeout = Duration::from_secs(1);
    })
}
