//! Rights to send: the targets that a client of the relay may name.
//!
//! Owns the rule. It never sends: the relay asks here first.
//!
//! Invariant: one refused target refuses the whole message.

use crate::{
    rights::names::check_room_name,
    words::{code::Code, config::Config, target::Target},
};
use alloc::{borrow::Cow, vec::Vec};

/// Reads the targets that a client named. Anybody may send to a socket whose id it knows. Only a member, as `is_member`
/// tells, may send to a room, unless the node is open.
///
/// # Errors
/// [`Code::BadTarget`] for no target and for one that is neither an id nor the name of a room; [`Code::TooMany`] for
/// more than allowed; [`Code::NotMember`] for a room that the sender is not in.
pub fn permitted_targets<'a>(
    texts: &'a [Cow<'a, str>],
    config: &Config,
    is_member: impl Fn(&str) -> bool,
) -> Result<Vec<Target<'a>>, Code> {
    if texts.is_empty() {
        return Err(Code::BadTarget);
    }
    if texts.len() > config.limits.targets_max {
        return Err(Code::TooMany);
    }
    let permit = |text: &'a Cow<'a, str>| match Target::parse(text) {
        target @ Target::Socket(_) => Ok(target),
        Target::Room(name) if check_room_name(name, &config.limits).is_err() => Err(Code::BadTarget),
        Target::Room(name) if !config.is_open && !is_member(name) => Err(Code::NotMember),
        target @ Target::Room(_) => Ok(target),
    };
    texts.iter().map(permit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::ids::SocketId;

    const ID: &str = "abcdefghijABCDEF-_09";

    fn check(texts: &[&'static str], is_open: bool) -> Result<usize, Code> {
        let texts: Vec<_> = texts.iter().map(|text| Cow::Borrowed(*text)).collect();
        let mut config = Config { is_open, ..Config::default() };
        config.limits.targets_max = 3;
        permitted_targets(&texts, &config, |room| room == "mine").map(|targets| targets.len())
    }

    #[test]
    fn a_room_needs_membership_and_an_id_does_not() {
        assert_eq!(check(&[ID, "mine"], false), Ok(2));
        assert_eq!(check(&[ID, "mine", "theirs"], false), Err(Code::NotMember));
        assert_eq!(check(&[ID, "mine", "theirs"], true), Ok(3));
        let texts = [Cow::Borrowed(ID)];
        let targets = permitted_targets(&texts, &Config::default(), |_| false);
        assert_eq!(targets, Ok(Vec::from([Target::Socket(SocketId::parse(ID).unwrap())])));
    }

    #[test]
    fn no_target_too_many_and_bad_names_are_refused() {
        assert_eq!(
            (check(&[], true), check(&["a", "b", "c", "d"], true)),
            (Err(Code::BadTarget), Err(Code::TooMany))
        );
        assert_eq!(
            (check(&["mine", "@a"], true), check(&[""], true)),
            (Err(Code::BadTarget), Err(Code::BadTarget))
        );
    }
}
