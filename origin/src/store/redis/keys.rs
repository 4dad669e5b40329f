//! Names of keys: `{prefix}:{kind}:{tag}`, the tag in braces, so that the tag alone chooses the slot in a cluster.
//!
//! Callers' names (addresses, nonces) are in a key as their digest: of one length, and with no brace to choose a slot.
//! Every script touches one key, so each stays within its slot.

use shared::id::Id;

use crate::store::{ephemeral::CacheGroup, values::digest};

/// The kind of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Window,
    Failures,
    Rate,
    Nonce,
    Value,
    Code,
    Challenge,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Failures => "failures",
            Self::Rate => "rate",
            Self::Nonce => "nonce",
            Self::Value => "value",
            Self::Code => "code",
            Self::Challenge => "challenge",
        }
    }
}

/// Makes keys under one prefix.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// Returns the key of a caller's name.
    pub(super) fn of(&self, kind: Kind, name: &str) -> String {
        self.tagged(kind.as_str(), &format!("{:032x}", u128::from_be_bytes(digest(name))))
    }

    /// Returns the key of this cache group.
    pub(super) fn group(&self, group: CacheGroup) -> String {
        let (kind, user_id): (_, Id) = match group {
            CacheGroup::ConversationsOf(user_id) => ("list", user_id),
            CacheGroup::SessionsOf(user_id) => ("sessions", user_id),
        };
        self.tagged(kind, &user_id.to_string())
    }

    /// Returns the key of the cache group that checks whether the server accepts writes.
    pub(super) fn probe(&self) -> String {
        self.tagged("probe", "write")
    }

    fn tagged(&self, kind: &str, tag: &str) -> String {
        format!("{}:{kind}:{{{tag}}}", self.prefix)
    }
}

/// The field of an entry in its group. The group's own fields have names of other lengths.
pub(super) fn field(entry: &str) -> [u8; 16] {
    digest(entry)
}

#[cfg(test)]
mod tests {
    use redis::cluster_routing::Slot;

    use super::*;

    #[test]
    fn slot_depends_on_tag_alone() {
        let keys = Keys::new("edgechat");
        for name in ["", "login:a@example.com", "{x}", "}{", "a{b}c", &"long".repeat(10_000)] {
            let key = keys.of(Kind::Window, name);
            let (head, tag) = key.split_once('{').unwrap();
            let tag = tag.strip_suffix('}').unwrap();
            assert_eq!(head, "edgechat:window:");
            assert!(tag.len() == 32 && tag.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
            assert_eq!(Slot::for_key(&key), Slot::for_key(tag));
            // One name is in one slot, for all kinds of values.
            assert_eq!(Slot::for_key(&key), Slot::for_key(keys.of(Kind::Code, name)));
        }
    }

    #[test]
    fn names_that_share_a_tag_are_apart_and_spread() {
        let keys = Keys::new("edgechat");
        assert_ne!(keys.of(Kind::Window, "{x}1"), keys.of(Kind::Window, "{x}2"));
        assert_ne!(keys.of(Kind::Window, "x"), keys.of(Kind::Rate, "x"));
        let slots: std::collections::BTreeSet<_> = (0..100)
            .map(|n| format!("{:?}", Slot::for_key(keys.of(Kind::Nonce, &format!("{{x}}{n}")))))
            .collect();
        assert!(slots.len() > 90, "{}", slots.len());
    }

    #[test]
    fn group_is_named_by_its_user() {
        let keys = Keys::new("edgechat");
        let user_id = Id::from_bytes([7; 16]);
        assert_eq!(
            keys.group(CacheGroup::ConversationsOf(user_id)),
            "edgechat:list:{07070707-0707-0707-0707-070707070707}"
        );
        assert_ne!(
            keys.group(CacheGroup::ConversationsOf(user_id)),
            keys.group(CacheGroup::SessionsOf(user_id))
        );
    }
}
