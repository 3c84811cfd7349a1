//! A chat server of one's own: names, a lobby, private messages, refusals. `cargo run -p moorline --example chat`
//!
//! Clients connect with `io(url, { auth: { name: "alice" } })`, and emit `say` and `tell`, which are acknowledged, and
//! `leave`. It takes every flag of moorline, so with `--redis` several of these are one chat.

use moorline::embed::{App, Args, Connect, Context, Disconnect, Emit, Event, Refusal, SocketId, Target, run};
use serde_json::{Value, json};
use std::{collections::BTreeMap, process::ExitCode};

const LOBBY: [Target<'_>; 1] = [Target::Room("lobby")];

/// The names of the clients on this node.
#[derive(Default)]
struct Chat(BTreeMap<SocketId, String>);

impl App for Chat {
    fn connect(&mut self, context: &mut Context<'_>, client: &Connect<'_>) -> Result<(), Refusal> {
        let auth: Value =
            client.auth.and_then(|auth| serde_json::from_str(auth.get()).ok()).unwrap_or_default();
        let name = auth["name"].as_str().filter(|name| !name.is_empty());
        self.0.insert(client.socket, name.ok_or(Refusal::new("auth: { name } is missing"))?.into());
        context.join(client.socket, "lobby", None).map(drop).map_err(|code| Refusal::new(code.as_str()))
    }

    fn connected(&mut self, context: &mut Context<'_>, client: &Connect<'_>) {
        self.emit(context, client.namespace, client.socket, &LOBBY, "joined", &Args::new());
    }

    fn event(&mut self, context: &mut Context<'_>, event: &Event<'_>) {
        let (from, args) = (event.socket, Args::of(event));
        let to = event.args.first().and_then(|id| SocketId::parse(id.get().trim_matches('"')));
        let is_sent = match (&*event.name, to) {
            ("say", _) => self.emit(context, event.namespace, from, &LOBBY, "said", &args),
            ("tell", Some(to)) => {
                self.emit(context, event.namespace, from, &[Target::Socket(to)], "told", &args)
            }
            ("leave", _) => return context.disconnect(from),
            _ => false,
        };
        if let Some(ack) = event.ack {
            context.acknowledge(ack, &Args::new().value(&json!({ "ok": is_sent })));
        }
    }

    fn disconnect(&mut self, context: &mut Context<'_>, client: &Disconnect) {
        let reason = Args::new().text(client.reason.as_str());
        self.emit(context, &client.namespace, client.socket, &LOBBY, "left", &reason);
        self.0.remove(&client.socket);
    }
}

impl Chat {
    /// Sends an event, with its sender, to everyone in `to` but the sender, on every node.
    #[rustfmt::skip]
    fn emit(&self, context: &mut Context<'_>, namespace: &str, from: SocketId, to: &[Target<'_>], event: &str, args: &Args) -> bool {
        let sender = json!({ "id": from.to_string(), "name": self.0.get(&from) });
        let args = Args::new().value(&sender).and(args);
        context.emit(&Emit { except: Some(from), ..Emit::new(namespace, to, event, &args) }).is_ok()
    }
}

fn main() -> ExitCode {
    run(Chat::default(), |_| {})
}
