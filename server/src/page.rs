//! The page at `/` of a node without `--assets`: which node this is, and a place to try it.
//!
//! Owns the page and the facts it shows. It never shows facts that help an attacker (version, load, state of the bus)
//! but on loopback.

use crate::wire::http::Response;
use moorline_protocol::json;
use std::borrow::Cow;

const TEMPLATE: &str = include_str!("page.html");

/// The facts the pages show about this node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NodeFacts<'a> {
    pub(crate) name: &'a str,
    pub(crate) connections: usize,
    /// `None` for a node that is alone.
    pub(crate) bus_is_up: Option<bool>,
}

/// The page for a client that is, or is not, on this machine.
pub(crate) fn embedded(facts: &NodeFacts<'_>, path: &str, is_local: bool) -> Response {
    let told = if is_local { Cow::Owned(facts.line()) } else { Cow::Borrowed("") };
    let mut path_json = Vec::new();
    json::push_string(&mut path_json, path);
    // `<` could end the script the path stands in.
    let path_json = String::from_utf8_lossy(&path_json).replace('<', "\\u003c");
    let body =
        TEMPLATE.replace("{{node}}", facts.name).replace("{{facts}}", &told).replace("{{path}}", &path_json);
    Response::new(200).body("text/html; charset=utf-8", body.into_bytes())
}

impl NodeFacts<'_> {
    /// Version, connections and the link to Redis, in one line.
    pub(crate) fn line(&self) -> String {
        let bus = match self.bus_is_up {
            None => "no Redis: this node is alone",
            Some(true) => "Redis link up",
            Some(false) => "Redis link down",
        };
        format!("moorline {} · {} connections · {bus}", env!("CARGO_PKG_VERSION"), self.connections)
    }
}
