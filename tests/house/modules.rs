//! The modules of one crate and the names in each, so that a path can be followed to the file that defines its item.
//!
//! Names follow the rules of the language as far as our code needs them: `crate`, `self` and `super`, imports,
//! renames, globs and re-exports through any number of modules. A path that leads out of the crate leads nowhere; one
//! that goes on behind a type ends at the type. Modules under `#[cfg(test)]` are left out, and macros are not expanded:
//! each capitalised name among the arguments of a call is taken for an item that the call defines.

use crate::tree::Source;
use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use syn::{Item, ItemMod, UseTree, ext::IdentExt};

pub(crate) type ModuleId = usize;
pub(crate) type Path = Vec<String>;

#[derive(Default)]
pub(crate) struct Module {
    pub(crate) file: String,
    pub(crate) items: Vec<Item>,
    parent: Option<ModuleId>,
    /// One name may have several meanings: a module and a function do not collide.
    names: BTreeMap<String, Vec<Meaning>>,
    globs: Vec<Path>,
}

enum Meaning {
    Own(Place),
    Import(Path),
}

/// The end of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Module(ModuleId),
    Item(ModuleId, String),
}

type Files<'a> = BTreeMap<&'a str, &'a Source>;
type Places = BTreeSet<Place>;
/// The names that are being looked up, so that a circle of imports ends.
type Open = Vec<(ModuleId, String)>;

/// All modules of a crate's source folder: the trees below `lib.rs` and `main.rs`.
#[derive(Default)]
pub(crate) struct Modules {
    pub(crate) all: Vec<Module>,
}

impl Modules {
    pub(crate) fn read(sources: &[Source], folder: &str) -> Self {
        let files = sources.iter().filter(|source| source.is_under(folder) && source.has_kind(&["rs"]));
        let files: Files<'_> = files.map(|source| (source.path.as_str(), source)).collect();
        let mut modules = Self::default();
        for root in ["lib.rs", "main.rs"] {
            if let Some(source) = files.get(format!("{folder}/{root}").as_str()) {
                modules.add(&files, &source.path, folder, source.parse().items, None);
            }
        }
        modules
    }

    /// Adds a module and those in it, whose files lie in `folder`.
    fn add(
        &mut self,
        files: &Files<'_>,
        file: &str,
        folder: &str,
        items: Vec<Item>,
        parent: Option<ModuleId>,
    ) -> ModuleId {
        let id = self.all.len();
        self.all.push(Module { file: file.into(), parent, ..Module::default() });
        for item in &items {
            match item {
                Item::Mod(inner) if is_test(&inner.attrs) => {}
                Item::Mod(inner) => {
                    let name = inner.ident.unraw().to_string();
                    let module = self.add_inner(files, &format!("{folder}/{name}"), inner, id);
                    self.define(id, name, Meaning::Own(Place::Module(module)));
                }
                Item::Use(import) => {
                    for (path, name) in flatten(&import.tree) {
                        match name {
                            Some(name) => self.define(id, name, Meaning::Import(path)),
                            None => self.all[id].globs.push(path),
                        }
                    }
                }
                Item::Macro(call) if call.ident.is_none() => {
                    for name in capitalised(call.mac.tokens.clone()) {
                        self.define(id, name.clone(), Meaning::Own(Place::Item(id, name)));
                    }
                }
                other => {
                    if let Some(name) = ident_of(other).map(|ident| ident.unraw().to_string()) {
                        self.define(id, name.clone(), Meaning::Own(Place::Item(id, name)));
                    }
                }
            }
        }
        self.all[id].items = items;
        id
    }

    fn add_inner(&mut self, files: &Files<'_>, folder: &str, inner: &ItemMod, parent: ModuleId) -> ModuleId {
        if let Some((_, items)) = &inner.content {
            let file = self.all[parent].file.clone();
            return self.add(files, &file, folder, items.clone(), Some(parent));
        }
        let paths = [format!("{folder}.rs"), format!("{folder}/mod.rs")];
        let source = paths.iter().find_map(|path| files.get(path.as_str()));
        let source = source.unwrap_or_else(|| panic!("no file for the module {folder}"));
        self.add(files, &source.path, folder, source.parse().items, Some(parent))
    }

    fn define(&mut self, id: ModuleId, name: String, meaning: Meaning) {
        self.all[id].names.entry(name).or_default().push(meaning);
    }

    /// The places that `path`, written in module `from`, leads to.
    pub(crate) fn resolve(&self, from: ModuleId, path: &[String]) -> Places {
        self.follow(from, path, &mut Open::new())
    }

    /// The items that `use path::*`, written in module `from`, brings into scope.
    pub(crate) fn resolve_glob(&self, from: ModuleId, path: &[String]) -> Places {
        let mut found = Places::new();
        self.add_glob(from, path, &mut found, &mut BTreeSet::new());
        found
    }

    fn add_glob(&self, from: ModuleId, path: &[String], found: &mut Places, seen: &mut BTreeSet<ModuleId>) {
        for place in self.resolve(from, path) {
            let Place::Module(id) = place else {
                found.insert(place);
                continue;
            };
            if seen.insert(id) {
                let module = &self.all[id];
                found.extend(module.names.keys().flat_map(|name| self.look_up(id, name, &mut Open::new())));
                module.globs.iter().for_each(|glob| self.add_glob(id, glob, found, seen));
            }
        }
    }

    fn follow(&self, from: ModuleId, path: &[String], open: &mut Open) -> Places {
        let mut places = Places::from([Place::Module(from)]);
        for (at, name) in path.iter().enumerate() {
            places = places.into_iter().flat_map(|place| self.step(place, name, at, open)).collect();
        }
        places
    }

    fn step(&self, place: Place, name: &str, at: usize, open: &mut Open) -> Places {
        let Place::Module(id) = place else { return Places::from([place]) };
        match name {
            "crate" if at == 0 => Places::from([Place::Module(self.root_of(id))]),
            "self" => Places::from([place]),
            "super" => self.all[id].parent.map(Place::Module).into_iter().collect(),
            _ => self.look_up(id, name, open),
        }
    }

    fn look_up(&self, id: ModuleId, name: &str, open: &mut Open) -> Places {
        let asked = (id, name.to_string());
        if open.contains(&asked) {
            return Places::new();
        }
        open.push(asked);
        let mut places = Places::new();
        for meaning in self.all[id].names.get(name).into_iter().flatten() {
            match meaning {
                Meaning::Own(place) => _ = places.insert(place.clone()),
                Meaning::Import(path) => places.extend(self.follow(id, path, open)),
            }
        }
        if places.is_empty() {
            for glob in &self.all[id].globs {
                let modules = self.follow(id, glob, open).into_iter();
                let modules = modules.filter(|place| matches!(place, Place::Module(_)));
                places.extend(modules.flat_map(|place| self.step(place, name, 1, open)).collect::<Vec<_>>());
            }
        }
        open.pop();
        places
    }

    fn root_of(&self, mut id: ModuleId) -> ModuleId {
        while let Some(parent) = self.all[id].parent {
            id = parent;
        }
        id
    }
}

fn capitalised(tokens: TokenStream) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for token in tokens {
        match token {
            TokenTree::Ident(name) => _ = names.insert(name.to_string()),
            TokenTree::Group(group) => names.extend(capitalised(group.stream())),
            _ => {}
        }
    }
    names.retain(|name| name.starts_with(char::is_uppercase));
    names
}

/// Whether an item is there for tests only.
pub(crate) fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

pub(crate) fn segments(path: &syn::Path) -> Path {
    path.segments.iter().map(|segment| segment.ident.unraw().to_string()).collect()
}

/// Each path of a `use` with the name that it brings; none for a glob.
pub(crate) fn flatten(tree: &UseTree) -> Vec<(Path, Option<String>)> {
    let leaf = |ident: &syn::Ident, name: &syn::Ident| {
        vec![(vec![ident.unraw().to_string()], Some(name.unraw().to_string()))]
    };
    match tree {
        UseTree::Name(name) => leaf(&name.ident, &name.ident),
        UseTree::Rename(rename) => leaf(&rename.ident, &rename.rename),
        UseTree::Glob(_) => vec![(Vec::new(), None)],
        UseTree::Group(group) => group.items.iter().flat_map(flatten).collect(),
        UseTree::Path(path) => {
            let head = path.ident.unraw().to_string();
            let under = |(mut rest, mut name): (Path, Option<String>)| {
                if name.as_deref() == Some("self") {
                    name = Some(head.clone());
                }
                rest.insert(0, head.clone());
                (rest, name)
            };
            flatten(&path.tree).into_iter().map(under).collect()
        }
    }
}

fn ident_of(item: &Item) -> Option<&syn::Ident> {
    match item {
        Item::Const(item) => Some(&item.ident),
        Item::Enum(item) => Some(&item.ident),
        Item::Fn(item) => Some(&item.sig.ident),
        Item::Macro(item) => item.ident.as_ref(),
        Item::Static(item) => Some(&item.ident),
        Item::Struct(item) => Some(&item.ident),
        Item::Trait(item) => Some(&item.ident),
        Item::Type(item) => Some(&item.ident),
        Item::Union(item) => Some(&item.ident),
        _ => None,
    }
}
