//! The namespaces of a node, as its operator configured them.
//!
//! Owns their names. It never grows: a client's CONNECT finds a namespace or is refused.

use crate::words::keys::{NamespaceKey, Table};
use alloc::{rc::Rc, string::String};
use core::ops::Index;

#[derive(Debug, Default)]
pub(crate) struct Namespaces {
    names: Table<NamespaceKey, Rc<str>>,
}

impl Namespaces {
    pub(crate) fn new(names: &[String]) -> Namespaces {
        let mut namespaces = Namespaces::default();
        for name in names {
            namespaces.names.insert(Rc::from(name.as_str()));
        }
        namespaces
    }

    /// The namespace with this name.
    pub(crate) fn find(&self, name: &str) -> Option<NamespaceKey> {
        self.names.iter().find(|(_, known)| ***known == *name).map(|(key, _)| key)
    }

    /// All of them, in the order they were configured.
    pub(crate) fn keys(&self) -> impl Iterator<Item = NamespaceKey> {
        self.names.iter().map(|(key, _)| key)
    }
}

/// The name.
impl Index<NamespaceKey> for Namespaces {
    type Output = Rc<str>;

    fn index(&self, key: NamespaceKey) -> &Rc<str> {
        &self.names[key]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_found_by_its_whole_name() {
        let namespaces = Namespaces::new(&["/".into(), "/admin".into()]);
        let keys = ["/", "/admin"].map(|name| namespaces.find(name).unwrap());
        assert_eq!(keys.map(|key| &*namespaces[key]), ["/", "/admin"]);
        assert!(namespaces.keys().eq(keys));
        assert_eq!((namespaces.find("/adm"), namespaces.find("")), (None, None));
    }
}
