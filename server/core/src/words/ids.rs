//! The ids a node gives out, and where their randomness comes from.
//!
//! A socket id is a public address: it names its node's incarnation and the slot in the socket table, so every node
//! knows the owner without a lookup and the owner finds the socket by index. A session id is a secret: whoever has it
//! is the session. Neither is ever logged by this crate.
//!
//! Invariant: a socket id equals another only if incarnation, slot and random bits all do, so an id that outlived its
//! socket never finds the next one in its slot.

use alloc::string::String;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use core::fmt;
use moorline_protocol::socket::SOCKET_ID_CHARS;

const SOCKET_ID_BYTES: usize = 15;
const SECRET_BYTES: usize = 16;

/// The source of random bits for ids: the operating system in a server, a seed in a test.
pub trait Entropy {
    /// Fills `bytes` with bits nobody can predict.
    fn fill(&mut self, bytes: &mut [u8]);
}

/// Names one run of one node: a node that restarts is another incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeTag([u8; 4]);

impl NodeTag {
    /// Draws a new tag.
    pub fn random(entropy: &mut dyn Entropy) -> NodeTag {
        let mut bytes = [0; 4];
        entropy.fill(&mut bytes);
        NodeTag(bytes)
    }

    /// Reads the form that [`fmt::Display`] writes: eight hexadecimal digits.
    pub fn parse(text: &str) -> Option<NodeTag> {
        let is_hex = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = is_hex.then(|| u32::from_str_radix(text, 16).ok()).flatten()?;
        Some(NodeTag(number.to_be_bytes()))
    }
}

impl fmt::Display for NodeTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// The address of one socket: 4 bytes incarnation, 4 bytes slot, 7 random bytes; 20 URL-safe characters as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SocketId([u8; SOCKET_ID_BYTES]);

impl SocketId {
    /// Builds the id of the socket in `slot` of the node `tag`.
    pub fn new(tag: NodeTag, slot: u32, entropy: &mut dyn Entropy) -> SocketId {
        let mut bytes = [0; SOCKET_ID_BYTES];
        bytes[..4].copy_from_slice(&tag.0);
        bytes[4..8].copy_from_slice(&slot.to_be_bytes());
        entropy.fill(&mut bytes[8..]);
        SocketId(bytes)
    }

    /// Reads the 20 characters of an id; `None` for anything else.
    pub fn parse(text: &str) -> Option<SocketId> {
        let mut bytes = [0; SOCKET_ID_BYTES];
        if text.len() != SOCKET_ID_CHARS {
            return None;
        }
        let written = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        (written == SOCKET_ID_BYTES).then_some(SocketId(bytes))
    }

    /// The id as text, without the formatting machinery: every relayed message carries one.
    pub fn text(self) -> SocketIdText {
        let mut text = [0; SOCKET_ID_CHARS];
        let written = URL_SAFE_NO_PAD.encode_slice(self.0, &mut text);
        debug_assert_eq!(written, Ok(SOCKET_ID_CHARS), "15 bytes are 20 characters");
        SocketIdText(text)
    }

    /// The incarnation that owns the socket.
    pub fn tag(self) -> NodeTag {
        NodeTag([self.0[0], self.0[1], self.0[2], self.0[3]])
    }

    /// The slot in the owner's socket table.
    pub fn slot(self) -> u32 {
        u32::from_be_bytes([self.0[4], self.0[5], self.0[6], self.0[7]])
    }
}

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

/// The 20 characters of a socket id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketIdText([u8; SOCKET_ID_CHARS]);

impl SocketIdText {
    /// The characters.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The random part of a session id. Has no `Debug` output of its bits: it is a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Secret([u8; SECRET_BYTES]);

impl Secret {
    /// Draws a new secret of 128 bits.
    pub(crate) fn random(entropy: &mut dyn Entropy) -> Secret {
        let mut bytes = [0; SECRET_BYTES];
        entropy.fill(&mut bytes);
        Secret(bytes)
    }

    /// Whether both are the same, in a time that does not tell how far they agree.
    pub(crate) fn equals(self, other: Secret) -> bool {
        let difference = self.0.iter().zip(other.0).fold(0, |all, (ours, theirs)| all | (ours ^ theirs));
        difference == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// An Engine.IO session, as an application names it. It addresses nobody once the session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionId {
    pub(crate) slot: u32,
    pub(crate) secret: Secret,
}

/// Writes a session id: the node's name for the balancer, then the slot and the secret.
pub(crate) fn write_session_id(name: &str, id: SessionId) -> String {
    let mut bytes = [0; 4 + SECRET_BYTES];
    bytes[..4].copy_from_slice(&id.slot.to_be_bytes());
    bytes[4..].copy_from_slice(&id.secret.0);
    let mut text = String::with_capacity(name.len() + 28);
    text.push_str(name);
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
    text
}

/// Reads a session id of the node `name`.
pub(crate) fn parse_session_id(name: &str, sid: &str) -> Option<SessionId> {
    let text = sid.strip_prefix(name)?.strip_prefix('.')?;
    let mut bytes = [0; 4 + SECRET_BYTES];
    let written = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    if written != bytes.len() {
        return None;
    }
    let slot = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let mut secret = [0; SECRET_BYTES];
    secret.copy_from_slice(&bytes[4..]);
    Some(SessionId { slot, secret: Secret(secret) })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use alloc::string::ToString;

    /// Entropy for tests: each draw is the number after the last one, in every byte.
    pub(crate) struct Counter(pub(crate) u8);

    impl Entropy for Counter {
        fn fill(&mut self, bytes: &mut [u8]) {
            self.0 = self.0.wrapping_add(1);
            bytes.fill(self.0);
        }
    }

    #[test]
    fn a_socket_id_reads_back() {
        let mut entropy = Counter(200);
        let tag = NodeTag::random(&mut entropy);
        let id = SocketId::new(tag, 0x0102_0304, &mut entropy);
        let text = id.to_string();
        assert!(moorline_protocol::socket::is_socket_id(&text), "{text}");
        assert_eq!(SocketId::parse(&text), Some(id));
        assert_eq!((id.tag(), id.slot()), (tag, 0x0102_0304));
        assert_eq!(NodeTag::parse(&tag.to_string()), Some(tag));
    }

    #[test]
    fn other_texts_are_no_ids() {
        for text in ["", "abcdefghijABCDEF-_0", "abcdefghijABCDEF-_0!", "abcdefghijABCDEF-_09x", "äöüäöüäöüä"]
        {
            assert_eq!(SocketId::parse(text), None, "{text}");
        }
        for text in ["", "+0000001", "0000000", "000000001", "0000000g"] {
            assert_eq!(NodeTag::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_session_id_starts_with_the_node_and_reads_back_there_only() {
        let secret = Secret::random(&mut Counter(0));
        let id = SessionId { slot: 7, secret };
        let sid = write_session_id("s1", id);
        assert!(sid.starts_with("s1."));
        assert_eq!(parse_session_id("s1", &sid), Some(id));
        assert_eq!(parse_session_id("s2", &sid), None);
        assert_eq!(parse_session_id("s1", &sid[..sid.len() - 1]), None);
        assert_eq!(parse_session_id("s1", "s1."), None);
    }
}
