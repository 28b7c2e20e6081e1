//! Which file uses which: paths resolved to the files that define their items.

use std::collections::{BTreeMap, BTreeSet};

use super::scan::{Path, Scan};

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// How many re-exports a name may pass through, so that names that stand for each other end somewhere.
const REEXPORTS: usize = 8;

pub struct Graph {
    scans: BTreeMap<String, Scan>,
    /// The file of each module, by the module's path from the crate's root.
    modules: BTreeMap<Vec<String>, String>,
    arrows: Arrows,
}

fn module_of(file: &str) -> Vec<String> {
    let mut module: Vec<String> = file.split('/').map(ToOwned::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod") || file == "lib" {
        module.pop();
    }
    module
}

impl Graph {
    /// Makes the graph of files, named by their paths below `src` without the extension.
    pub fn new(mut scans: BTreeMap<String, Scan>) -> Self {
        let mut of_tests = BTreeSet::new();
        for (file, scan) in &scans {
            of_tests.extend(scan.test_modules.iter().map(|name| {
                let mut module = module_of(file);
                module.push(name.clone());
                module
            }));
        }
        scans.retain(|file, _| {
            let module = module_of(file);
            !(1..=module.len()).any(|length| of_tests.contains(&module[..length]))
        });
        let modules = scans.keys().map(|file| (module_of(file), file.clone())).collect();
        let mut graph = Self { scans, modules, arrows: Arrows::new() };
        graph.arrows = graph.scans.keys().map(|file| (file.clone(), graph.used_by(file))).collect();
        graph
    }

    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.scans.keys().map(String::as_str)
    }

    pub fn scans(&self) -> impl Iterator<Item = (&str, &Scan)> {
        self.scans.iter().map(|(file, scan)| (file.as_str(), scan))
    }

    pub fn arrows(&self) -> &Arrows {
        &self.arrows
    }

    pub fn uses(&self, file: &str) -> impl Iterator<Item = &str> {
        self.arrows[file].iter().map(String::as_str)
    }

    /// Folders that hold modules, the crate's root first.
    pub fn folders(&self) -> BTreeSet<&str> {
        let parents = self.files().filter_map(|file| file.rsplit_once('/'));
        std::iter::once("").chain(parents.map(|(parent, _)| parent)).collect()
    }

    /// Arrows between the modules of a folder, each taken together with its children.
    pub fn between_rooms(&self, folder: &str) -> Arrows {
        let room = |file: &str| {
            let below = if folder.is_empty() { file } else { file.strip_prefix(folder)?.strip_prefix('/')? };
            let first = below.split('/').next()?;
            (first != "mod" && first != "lib").then(|| first.to_owned())
        };
        let mut between = Arrows::new();
        for (file, used) in &self.arrows {
            let Some(own) = room(file) else { continue };
            let others = used.iter().filter_map(|used| room(used)).filter(|other| *other != own).collect::<Vec<_>>();
            between.entry(own).or_default().extend(others);
        }
        between
    }

    fn used_by(&self, file: &str) -> BTreeSet<String> {
        let own = module_of(file);
        let mut used = BTreeSet::new();
        for path in &self.scans[file].paths {
            let Some(target) = self.resolve(&own, path, REEXPORTS) else { continue };
            let is_listed = path.is_reexport && module_of(&target).starts_with(&own);
            if target != file && !is_listed {
                used.insert(target);
            }
        }
        used
    }

    /// The file that defines what a path in a module leads to, if it is one of the crate's.
    fn resolve(&self, module: &[String], path: &Path, reexports: usize) -> Option<String> {
        let first = path.segments.first()?;
        let mut at = module.to_vec();
        let mut rest = &path.segments[1..];
        match first.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => {
                let supers = path.segments.iter().take_while(|segment| *segment == "super").count();
                at.truncate(at.len().checked_sub(supers.saturating_sub(path.inline_depth))?);
                rest = &path.segments[supers..];
            }
            name => {
                let mut child = at.clone();
                child.push(name.to_owned());
                if self.modules.contains_key(&child) {
                    at = child;
                } else {
                    return self.imported(module, name, &path.segments[1..], reexports);
                }
            }
        }
        while let Some((name, further)) = rest.split_first() {
            at.push(name.clone());
            if !self.modules.contains_key(&at) {
                at.pop();
                let file = self.modules.get(&at)?;
                if self.scans[file].defined.contains(name) {
                    return Some(file.clone());
                }
                return self.imported(&at, name, further, reexports).or_else(|| Some(file.clone()));
            }
            rest = further;
        }
        self.modules.get(&at).cloned()
    }

    /// The file that a name leads to that a `use` of the module brings in.
    fn imported(&self, module: &[String], name: &str, rest: &[String], reexports: usize) -> Option<String> {
        let left = reexports.checked_sub(1)?;
        let scan = &self.scans[self.modules.get(module)?];
        let mut globs = Vec::new();
        for (alias, path) in &scan.imports {
            let is_itself = path.segments.len() == 1;
            if alias == name && !is_itself {
                let segments = path.segments.iter().chain(rest).cloned().collect();
                return self.resolve(module, &Path { segments, ..path.clone() }, left);
            }
            if alias == "*" && !is_itself {
                globs.push(path);
            }
        }
        globs.into_iter().find_map(|path| {
            let segments = path.segments.iter().cloned().chain([name.to_owned()]).collect();
            let target = self.resolve(module, &Path { segments, ..path.clone() }, left)?;
            self.scans[&target].defined.iter().any(|defined| defined == name).then_some(target)
        })
    }
}

/// The rings among arrows: each as its members with the arrows between them.
pub fn rings(arrows: &Arrows) -> Vec<String> {
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        arrows.keys().map(|from| (from.as_str(), reached(arrows, from))).collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (from, reached) in &reach {
        if !reached.contains(from) || seen.contains(from) {
            continue;
        }
        let ring: BTreeSet<&str> =
            reached.iter().copied().filter(|other| reach.get(other).is_some_and(|back| back.contains(from))).collect();
        let inside = ring.iter().map(|member| {
            let used = arrows[*member].iter().filter(|used| ring.contains(used.as_str()));
            format!("{member} -> {}", used.cloned().collect::<Vec<_>>().join(", "))
        });
        found.push(inside.collect::<Vec<_>>().join("; "));
        seen.extend(ring);
    }
    found
}

fn reached<'a>(arrows: &'a Arrows, from: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for next in arrows.get(file).into_iter().flatten() {
            if found.insert(next.as_str()) {
                open.push(next);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::scan::scan;
    use super::*;

    fn graph(files: &[(&str, &str)]) -> Graph {
        Graph::new(files.iter().map(|(file, text)| ((*file).to_owned(), scan(text))).collect())
    }

    #[test]
    fn names_lead_to_the_files_that_define_them() {
        let graph = graph(&[
            ("lib", "mod a; mod b; pub use a::A;"),
            ("a/mod", "mod inner; pub use inner::A; pub fn own() {}"),
            ("a/inner", "pub struct A; fn f() { super::own(); }"),
            ("b", "use crate::a; use crate::a::A; fn f() { a::own(); crate::A; b_is_no_module::x(); }"),
        ]);
        assert_eq!(graph.uses("b").collect::<Vec<_>>(), ["a/inner", "a/mod"]);
        assert_eq!(graph.uses("a/inner").collect::<Vec<_>>(), ["a/mod"]);
        assert_eq!(graph.uses("a/mod").count(), 0, "it only passes names on");
        assert_eq!(rings(graph.arrows()), [""; 0]);
    }

    #[test]
    fn rings_are_found_between_files_and_between_rooms() {
        let graph = graph(&[
            ("a/mod", "mod one; mod two;"),
            ("a/one", "use crate::b::B; pub struct A;"),
            ("a/two", "pub struct T;"),
            ("b", "use crate::a::two::T; pub struct B;"),
            ("c", "use crate::d::D; pub struct C;"),
            ("d", "pub struct D; fn f() { crate::c::C; }\n#[cfg(test)]\nmod tests;"),
            ("d/tests", "use crate::a::one::A;"),
        ]);
        assert_eq!(rings(graph.arrows()), ["c -> d; d -> c"]);
        assert_eq!(rings(&graph.between_rooms("")), ["a -> b; b -> a", "c -> d; d -> c"]);
        assert_eq!(rings(&graph.between_rooms("a")), [""; 0]);
    }
}
