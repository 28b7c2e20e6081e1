//! What must hold for any path mapping rules and any path. Shared with the fuzz target, which compiles it in by path.

use super::path::{PathFormat, escape_bytes};
use super::path_mapping::{PathMappingRule, PathMappingRuleApplier, PureParts, WindowsPrefixes, join, rules_from_json};

/// A part as it is compared.
fn folded(part: &[u8], format: PathFormat) -> Vec<u8> {
    match (format, std::str::from_utf8(part)) {
        (PathFormat::Posix, _) => part.to_vec(),
        (PathFormat::Windows, Ok(text)) => text.to_lowercase().into_bytes(),
        // Lone surrogates have no case, and end what is looked at together.
        (PathFormat::Windows, Err(_)) => part
            .utf8_chunks()
            .flat_map(|chunk| [chunk.valid().to_lowercase().into_bytes(), chunk.invalid().to_vec()].concat())
            .collect(),
    }
}

/// The same as the trie, rule by rule: the longest source that the path begins with wins, of equal ones the last.
fn model(
    rules: &[PathMappingRule],
    path: &[u8],
    (format, host): (PathFormat, PathFormat),
    prefixes: WindowsPrefixes,
) -> Option<Vec<u8>> {
    let path = PureParts::new(path, format, prefixes);
    let parts: Vec<&[u8]> = path.parts().collect();
    let mut best: Option<(usize, &PathMappingRule)> = None;
    for rule in rules {
        let source = PureParts::new(&rule.source_path, format, prefixes);
        let source: Vec<&[u8]> = source.parts().collect();
        let fits = source.len() <= parts.len()
            && source.iter().zip(&parts).all(|(rule, path)| folded(rule, format) == folded(path, format));
        if fits && !source.is_empty() && best.is_none_or(|(length, _)| source.len() >= length) {
            best = Some((source.len(), rule));
        }
    }
    let (length, rule) = best?;
    let destination = PureParts::new(&rule.destination_path, host, prefixes);
    let names: Vec<&[u8]> = destination.names.iter().copied().chain(parts[length..].iter().copied()).collect();
    Some(join(&destination.anchor, &names, host))
}

/// Panics where something doesn't hold. The first byte chooses formats; lines after it are rules (source, tab, destination),
/// and the last is the path.
pub fn hold_for(data: &[u8]) {
    let _ = std::str::from_utf8(data).map(rules_from_json);
    let Some((choice, rest)) = data.split_first() else { return };
    let text = escape_bytes(rest);
    let pick = |bit: u8| if choice & bit == 0 { PathFormat::Posix } else { PathFormat::Windows };
    let (format, host) = (pick(1), pick(2));
    let prefixes = if choice & 4 == 0 { WindowsPrefixes::Current } else { WindowsPrefixes::Classic };
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let path = lines.pop().unwrap_or_default();
    let mut rules = Vec::new();
    for line in lines {
        let mut sides = line.splitn(2, |byte| *byte == b'\t');
        let source_path = sides.next().unwrap_or_default().to_vec();
        let destination_path = sides.next().unwrap_or_default().to_vec();
        rules.push(PathMappingRule { source_path_format: format, source_path, destination_path });
    }
    let own = rules.first().map_or(host, |rule| rule.source_path_format);
    let applier = PathMappingRuleApplier::new(&rules, host, prefixes).unwrap();
    let found = applier.transform(path);
    assert_eq!(found, model(&rules, path, (own, host), prefixes), "{rules:?} {path:?}");
    for rule in &rules {
        let _ = rule.hashed_source_path();
    }
}
