//! Path mapping as Rust programs use it; the rules themselves are compared with Python's in `tests_py/parity`.

use proptest::prelude::*;
use rusty_attachments::path::PathFormat;
use rusty_attachments::path_mapping::{
    FileSystemLocation, PathMappingRule, PathMappingRuleApplier, PureParts, StorageProfile, WindowsPrefixes,
    generate_path_mapping_rules, join,
};

fn profile(id: &str, path_format: PathFormat, locations: &[(&str, &str)]) -> StorageProfile {
    let location = |(name, path): &(&str, &str)| FileSystemLocation { name: (*name).into(), path: (*path).into() };
    StorageProfile { id: id.into(), path_format, locations: locations.iter().map(location).collect() }
}

#[test]
fn a_windows_artists_path_on_a_linux_worker() {
    let artist = profile(
        "sp-artist",
        PathFormat::Windows,
        &[("shows", r"X:\shows"), ("tools", r"\\server\tools"), ("local", r"C:\temp")],
    );
    let worker = profile("sp-worker", PathFormat::Posix, &[("tools", "/opt/tools"), ("shows", "/mnt/shows")]);
    let rules = generate_path_mapping_rules(&artist, &worker);
    assert_eq!(rules.len(), 2, "local is not on the worker");
    let applier = PathMappingRuleApplier::new(&rules, PathFormat::Posix, WindowsPrefixes::Current).unwrap();
    let map = |path: &str| applier.transform(path.as_bytes()).map(|path| String::from_utf8(path).unwrap());
    assert_eq!(map(r"x:\SHOWS\a\b.exr").unwrap(), "/mnt/shows/a/b.exr");
    assert_eq!(map("//SERVER/tools/nuke").unwrap(), "/opt/tools/nuke");
    assert_eq!(map(r"C:\temp\x"), None);
    assert!(generate_path_mapping_rules(&artist, &artist).is_empty());
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("/"),
        Just("\\"),
        Just("C:"),
        Just("?"),
        Just("."),
        Just(".."),
        Just("UNC"),
        Just("é"),
        Just("a"),
        Just("B")
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
}

fn either<T: Clone + std::fmt::Debug + 'static>(first: T, second: T) -> impl Strategy<Value = T> {
    prop_oneof![Just(first), Just(second)]
}

proptest! {
    /// Parts put together again have the same parts: nothing is lost or made up.
    #[test]
    fn parts_survive_being_joined(path in text(), format in either(PathFormat::Posix, PathFormat::Windows)) {
        let parts = PureParts::new(&path, format, WindowsPrefixes::Current);
        // As in pathlib before 3.12, `.\C:` loses its dot and reads as a drive afterwards.
        if parts.anchor.is_empty() && parts.names.first().is_some_and(|name| name.contains(&b':')) {
            return Ok(());
        }
        let joined = join(&parts.anchor, &parts.names, format);
        let again = PureParts::new(&joined, format, WindowsPrefixes::Current);
        prop_assert_eq!(&again.names, &parts.names);
        prop_assert_eq!(again.anchor.len(), parts.anchor.len());
    }

    /// No path panics, by either reading, and a rule for a path maps the path itself and what is below.
    #[test]
    fn a_rule_for_a_path_maps_it(
        path in text(),
        format in either(PathFormat::Posix, PathFormat::Windows),
        prefixes in either(WindowsPrefixes::Current, WindowsPrefixes::Classic),
    ) {
        let rule = PathMappingRule {
            source_path_format: format,
            source_path: path.clone(),
            destination_path: b"/there".to_vec(),
        };
        let applier = PathMappingRuleApplier::new(&[rule], PathFormat::Posix, prefixes).unwrap();
        let has_parts = PureParts::new(&path, format, prefixes).parts().next().is_some();
        prop_assert_eq!(applier.transform(&path), has_parts.then(|| b"/there".to_vec()));
    }
}
