//! The layers of `src/` point one way.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Modules by layer, innermost first. A module may use modules of earlier layers, and of its own layer only where the
/// layer is not made of siblings that don't know each other.
const LAYERS: &[&[&str]] = &[
    &["error", "path", "hash", "descriptors", "permits", "sync", "threads"],
    &["manifest", "settings", "path_mapping", "grouping", "statistics", "worker"],
    &["fs", "cache", "store"],
    &["transfer"],
    &["ops"],
    &["python"],
];

/// Layers whose modules own one outside thing each and must not know each other.
const SIBLINGS: usize = 2;

/// Who alone may name a dependency: one door each.
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
    ("globset", &["fs/glob"]),
    ("pyo3", &["python"]),
];

fn sources() -> Vec<(PathBuf, String)> {
    fn visit(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 5, "the sources were not found");
    found
}

fn relative(path: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    path.strip_prefix(root).unwrap().with_extension("").to_str().unwrap().to_owned()
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Code without comments and without the tests at the end of a file.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Names that follow `crate::` in the code, also inside braces: `crate::{a::b, c}`.
fn used_modules(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for part in code.split("crate::").skip(1) {
        if let Some(group) = part.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for character in group.chars() {
                match character {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' | ' ' | '\n' if depth == 0 => {
                        used.insert(std::mem::take(&mut name));
                    }
                    _ if depth == 0 => name.push(character),
                    _ => {}
                }
            }
            used.insert(name.split("::").next().unwrap_or_default().to_owned());
        } else {
            let end = part.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(part.len());
            used.insert(part[..end].to_owned());
        }
    }
    let first = |name: String| name.split("::").next().unwrap_or_default().to_owned();
    used.into_iter().map(first).filter(|name| !name.is_empty()).collect()
}

#[test]
fn arrows_point_inwards() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let name = relative(&path);
        let module = name.split('/').next().unwrap().to_owned();
        if module == "lib" {
            continue;
        }
        let Some(own) = layer_of(&module) else {
            wrong.push(format!("{name}: module `{module}` has no layer"));
            continue;
        };
        for used in used_modules(&code(&text)) {
            let Some(other) = layer_of(&used) else { continue };
            let sibling = other == own && own == SIBLINGS && used != module;
            if other > own || sibling {
                wrong.push(format!("{name} uses `{used}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that point the wrong way:\n{}", wrong.join("\n"));
}

#[test]
fn each_dependency_has_one_door() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let name = relative(&path);
        let code = code(&text);
        for (dependency, doors) in DOORS {
            let named = code.match_indices(dependency).any(|(at, _)| {
                let before = code[..at].chars().next_back();
                let rest = &code[at + dependency.len()..];
                let is_word = !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '"');
                is_word && (rest.starts_with("::") || dependency.ends_with("smithy") && rest.starts_with('_'))
            });
            if named && !doors.iter().any(|door| name.starts_with(door)) {
                wrong.push(format!("{name} names `{dependency}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "dependencies named outside their doors:\n{}", wrong.join("\n"));
}

#[test]
fn the_scanner_sees_what_it_should() {
    let used = used_modules("use crate::{fs::open, hash};\nuse crate::transfer::x; crate::ops::y()");
    assert_eq!(used.iter().map(String::as_str).collect::<Vec<_>>(), ["fs", "hash", "ops", "transfer"]);
}
