//! The few texts that nearly every story writes or expects.

/// The items of an `@to`: `targets` is JSON, a string or an array; `rest` is the JSON of the event's name and
/// arguments.
pub fn to(targets: &str, rest: &str) -> String {
    format!(r#"["@to",{targets},{rest}]"#)
}

/// The items of an `@ask`, written as for [`to`].
pub fn ask(targets: &str, rest: &str) -> String {
    format!(r#"["@ask",{targets},{rest}]"#)
}

/// A packet in `/` that relays an event with so many attachments to the id or room `target`; `rest` as in [`to`].
pub fn to_binary(attachments: usize, target: &str, rest: &str) -> String {
    format!(r#"45{attachments}-["@to","{target}",{rest}]"#)
}

/// The packet a recipient in `/` receives when the socket `from` sent the event `name` with `args`, JSON joined by
/// commas.
pub fn event_from(from: &str, name: &str, args: &str) -> String {
    let comma = if args.is_empty() { "" } else { "," };
    format!(r#"42["{name}",{{"from":"{from}"}}{comma}{args}]"#)
}
