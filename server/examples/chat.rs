//! A chat server of one's own: names, a lobby, private messages, refusals. `cargo run -p moorline --example chat`
//!
//! Clients connect with `io(url, { auth: { name: "alice" } })` and emit `say`, `tell` and `leave`. It takes every flag of
//! moorline, so with `--redis` several of these are one chat.

use moorline::embed::{App, Args, Connect, Context, Disconnect, Emit, Event, Refusal, SocketId, Target, run};
use serde_json::{Value, json};
use std::{collections::BTreeMap, process::ExitCode};

const LOBBY: &str = "lobby";

/// Who is here: this node's own part of the chat.
#[derive(Default)]
struct Chat {
    names: BTreeMap<SocketId, String>,
}

impl App for Chat {
    fn connect(&mut self, context: &mut Context<'_>, client: &Connect<'_>) -> Result<(), Refusal> {
        let auth: Value =
            client.auth.map_or(Value::Null, |auth| serde_json::from_str(auth.get()).unwrap_or_default());
        let Some(name) = auth["name"].as_str().filter(|name| (1..=32).contains(&name.len())) else {
            let data = json!({ "hint": "auth: { name: \"alice\" }" }).to_string();
            return Err(Refusal { message: "a name of 1 to 32 bytes is needed".into(), data });
        };
        self.names.insert(client.socket, name.into());
        context.join(client.socket, LOBBY, None).map(|_| ()).map_err(|code| Refusal::new(code.as_str()))
    }

    fn connected(&mut self, context: &mut Context<'_>, client: &Connect<'_>) {
        self.tell(context, client.namespace, client.socket, "joined", &Args::new());
    }

    fn event(&mut self, context: &mut Context<'_>, event: &Event<'_>) {
        let first = event.args.first().and_then(|arg| serde_json::from_str(arg.get()).ok());
        let answer = match (&*event.name, first) {
            ("say", Some(_)) => {
                self.tell(context, event.namespace, event.socket, "said", &Args::of(event));
                json!({ "ok": true })
            }
            ("tell", Some(Value::String(id))) => match (SocketId::parse(&id), event.args.get(1)) {
                (Some(to), Some(text)) => {
                    let args = Args::new().text(&self.names[&event.socket]).raw(text);
                    let target = [Target::Socket(to)];
                    let whisper = Emit::new(event.namespace, &target, "told", &args);
                    json!({ "ok": context.emit(&whisper).is_ok() })
                }
                _ => json!({ "error": "tell(id, text)" }),
            },
            ("leave", _) => return context.disconnect(event.socket),
            _ => json!({ "error": "unknown" }),
        };
        if let Some(reply) = event.reply {
            context.reply(reply, &Args::new().value(&answer));
        }
    }

    fn disconnect(&mut self, context: &mut Context<'_>, client: &Disconnect) {
        let reason = Args::new().text(client.reason.as_str());
        self.tell(context, &client.namespace, client.socket, "left", &reason);
        self.names.remove(&client.socket);
    }
}

impl Chat {
    /// Tells everyone else in the lobby, on every node, what somebody did.
    fn tell(&self, context: &mut Context<'_>, namespace: &str, who: SocketId, event: &str, args: &Args) {
        let Some(name) = self.names.get(&who) else { return };
        let args = Args::new().value(&json!({ "id": who.to_string(), "name": name })).and(args);
        let lobby = Emit { except: Some(who), ..Emit::new(namespace, &[Target::Room(LOBBY)], event, &args) };
        if let Err(code) = context.emit(&lobby) {
            context.count_refusal(code);
        }
    }
}

fn main() -> ExitCode {
    run(Chat::default(), |_| {})
}
