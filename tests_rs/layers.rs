//! The layers of `src/` point one way, and files do not use each other in rings.
//!
//! The rules:
//!
//! 1. A file uses modules of its own layer and of earlier layers. Adapters (`fs`, `cache`, `store`) don't use each other.
//! 2. Each dependency is used from one module only, and `std::fs` from the adapters that own files.
//! 3. No ring between rooms: taken together with its children, no folder of modules uses another that uses it back.
//! 4. No ring between files. A file uses another where a path (`crate::`, `super::`, `self::`, or through a name that a
//!    `use` brought in) leads to an item that the other defines; re-exports are followed to the item. `mod` lines and
//!    re-exports alone are no use: a folder's module may list its children and pass their names on. In the few folders of
//!    [`SHARED`] the module also holds what its children are made of.
//! 5. No function takes a tuple of more than one element: a struct names what the parts are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path as FilePath, PathBuf};

#[path = "layers/graph.rs"]
mod graph;
#[path = "layers/scan.rs"]
mod scan;

use graph::{Graph, rings};
use scan::scan;

/// Modules by layer, innermost first.
const LAYERS: &[Layer] = &[
    Layer { name: "primitives", modules: &["error", "path", "hash", "descriptors", "permits", "sync", "threads"] },
    Layer {
        name: "documents",
        modules: &["manifest", "settings", "path_mapping", "grouping", "glob", "statistics", "worker"],
    },
    Layer { name: ADAPTERS, modules: &["fs", "cache", "store"] },
    Layer { name: "engine", modules: &["transfer"] },
    Layer { name: "use cases", modules: &["ops"] },
    Layer { name: "API", modules: &["api"] },
    Layer { name: "bindings", modules: &["python", "cli"] },
    Layer { name: "programs", modules: &["bin"] },
];

/// The layer whose modules own one outside resource each and must not know each other.
const ADAPTERS: &str = "adapters";

/// Modules of folders whose children may use them although they use their children: the client of S3, whose requests and
/// settings are files of their own, and the HTTP client that it is given.
const SHARED: &[&str] = &["store/s3/mod", "store/s3/http/mod"];

struct Layer {
    name: &'static str,
    modules: &'static [&'static str],
}

/// Each dependency with the modules that may use it.
const DOORS: &[(&str, &[&str])] = &[
    ("aws_sdk_s3", &["store/s3"]),
    ("aws_config", &["store/s3"]),
    ("aws_sdk_sts", &["store/s3"]),
    ("aws_smithy", &["store/s3"]),
    ("aws_credential_types", &["store/s3"]),
    ("aws_runtime", &["store/s3/config"]),
    ("rustls", &["store/s3/http"]),
    ("rustls_native_certs", &["store/s3/http/trust"]),
    ("rustls_pki_types", &["store/s3/http"]),
    ("webpki", &["store/s3/http/self_signed"]),
    ("webpki_root_certs", &["store/s3/http/trust"]),
    ("hyper_rustls", &["store/s3/http/self_signed"]),
    ("hyper_util", &["store/s3/http/self_signed"]),
    ("ipnet", &["store/s3/http/proxies"]),
    ("percent_encoding", &["store/s3/http/proxies", "store/s3/listings"]),
    ("quick_xml", &["store/s3/xml"]),
    ("rusqlite", &["cache"]),
    ("ignore", &["fs/walk"]),
    ("globset", &["glob"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli/arguments", "cli/generate"]),
    ("clap_mangen", &["cli/generate"]),
    ("console", &["cli/bar"]),
    ("indicatif", &["cli/bar"]),
    ("signal_hook", &["cli/interrupts"]),
    ("pyo3", &["python"]),
    // Files belong to `fs` and `cache`. The S3 client reads the AWS configuration and certificates, and adapters don't know
    // each other. The API reads manifests also without the feature `s3`, where there is no `fs`. The command line writes what its user names.
    ("std::fs", &["fs", "cache", "store/s3/settings/profiles", "store/s3/http/trust", "api/mod", "cli"]),
];

fn sources() -> BTreeMap<String, String> {
    fn visit(folder: &FilePath, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    visit(&root, &mut found);
    assert!(found.len() > 5, "the sources were not found");
    let name = |path: &FilePath| path.strip_prefix(&root).unwrap().with_extension("").to_str().unwrap().to_owned();
    found.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

/// The graph of the sources, without files that only tests have.
fn graph() -> Graph {
    Graph::new(sources().into_iter().map(|(name, text)| (name, scan(&text))).collect())
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.modules.contains(&module))
}

fn room(file: &str) -> &str {
    file.split('/').next().unwrap_or(file)
}

#[test]
fn arrows_point_inwards() {
    let mut wrong = BTreeSet::new();
    let graph = graph();
    for file in graph.files().filter(|file| *file != "lib") {
        let Some(own) = layer_of(room(file)) else {
            wrong.insert(format!("{file}: module `{}` has no layer", room(file)));
            continue;
        };
        for used in graph.uses(file) {
            let Some(other) = layer_of(room(used)) else { continue };
            let is_sibling = LAYERS[own].name == ADAPTERS && other == own && room(used) != room(file);
            if other > own || is_sibling {
                wrong.insert(format!("{file} ({}) uses {used} ({})", LAYERS[own].name, LAYERS[other].name));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that point the wrong way:\n{}", listed(wrong));
}

#[test]
fn each_dependency_is_used_from_one_module() {
    let mut wrong = BTreeSet::new();
    let graph = graph();
    for (file, scan) in graph.scans() {
        for path in &scan.paths {
            for (dependency, owners) in DOORS {
                let names: Vec<&str> = dependency.split("::").collect();
                let is_named = path.segments.len() >= names.len()
                    && names.iter().zip(&path.segments).all(|(name, segment)| name == segment)
                    || *dependency == "aws_smithy" && path.segments[0].starts_with("aws_smithy_");
                let is_owned = owners
                    .iter()
                    .any(|owner| file.strip_prefix(owner).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
                if is_named && !is_owned {
                    wrong.insert(format!("{file} names `{}`", path.segments.join("::")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "dependencies named outside their modules:\n{}", listed(wrong));
}

#[test]
fn no_rooms_use_each_other_in_a_ring() {
    let graph = graph();
    let mut wrong = BTreeSet::new();
    for folder in graph.folders() {
        let between = graph.between_rooms(folder);
        wrong.extend(rings(&between).into_iter().map(|ring| format!("in `{folder}`: {ring}")));
    }
    assert!(wrong.is_empty(), "rooms in rings:\n{}", listed(wrong));
}

#[test]
fn no_files_use_each_other_in_a_ring() {
    let mut arrows = graph().arrows().clone();
    for shared in SHARED {
        let folder = shared.strip_suffix("mod").unwrap_or(shared);
        for (_, used) in arrows.iter_mut().filter(|(file, _)| file.starts_with(folder)) {
            used.remove(*shared);
        }
    }
    let wrong = rings(&arrows);
    assert!(wrong.is_empty(), "files in rings:\n{}", listed(wrong));
}

#[test]
fn no_function_takes_a_tuple() {
    let graph = graph();
    let found =
        graph.scans().flat_map(|(file, scan)| scan.tuple_parameters.iter().map(move |of| format!("{file}: {of}")));
    let found: BTreeSet<String> = found.collect();
    assert!(found.is_empty(), "tuple parameters:\n{}", listed(found));
}

fn listed(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().collect::<Vec<_>>().join("\n")
}
