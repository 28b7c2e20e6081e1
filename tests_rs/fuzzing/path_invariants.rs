//! What must hold for any manifest path below any root. Shared with the fuzz target, which compiles it in by path.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::PathProblem;
use super::fs::target_root::TargetRoot;
use super::path::{ManifestPath, PathFormat, escape_bytes, push_code_point};

/// Roots with links in them, and a place that nobody may touch.
pub struct Playground {
    base: PathBuf,
}

impl Playground {
    /// Makes one in a folder that is there and empty.
    pub fn new(base: &Path) -> Self {
        let base = base.canonicalize().unwrap();
        std::fs::create_dir(base.join("outside")).unwrap();
        let playground = Self { base };
        playground.clean();
        playground
    }

    fn root(&self) -> PathBuf {
        self.base.join("root")
    }

    /// The root as it is at first: a folder, a link to it, and links that lead out, to folders and to a file.
    fn clean(&self) {
        let root = self.root();
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(root.join("a")).unwrap();
        for (link, destination) in [("in", "a"), ("out", "../outside"), ("up", ".."), ("abs", "/tmp"), ("loop", "loop")]
        {
            std::os::unix::fs::symlink(destination, root.join(link)).unwrap();
        }
        let _ = std::fs::remove_dir_all(self.base.join("outside"));
        std::fs::create_dir(self.base.join("outside")).unwrap();
    }

    fn names(&self, folder: &str) -> Vec<PathBuf> {
        let mut names: Vec<_> =
            std::fs::read_dir(self.base.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    }
}

/// Any bytes as a manifest path: the first says how the others are read.
fn manifest_path(data: &[u8]) -> Vec<u8> {
    let Some((kind, rest)) = data.split_first() else { return Vec::new() };
    match (kind % 2, std::str::from_utf8(rest)) {
        // As the names of files come.
        (0, _) | (_, Ok(_)) => escape_bytes(rest),
        // As they come from JSON, where any surrogate can stand alone.
        _ => {
            let units = rest.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
            let mut text = Vec::new();
            for unit in char::decode_utf16(units) {
                push_code_point(&mut text, unit.map_or_else(|error| u32::from(error.unpaired_surrogate()), u32::from));
            }
            text
        }
    }
}

/// What a path comes to below a root, by a simpler rule than the product's: names are taken one after another, and whatever
/// is not a plain name of a file is refused. Links don't count here.
fn model(wtf8: &[u8]) -> Option<PathBuf> {
    let whole = ManifestPath::from_wtf8(wtf8).to_os_string().ok()?;
    let bytes = whole.as_bytes();
    if bytes.contains(&0) || bytes.starts_with(b"/") {
        return None;
    }
    let mut path = PathBuf::new();
    for name in bytes.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => return None,
            name => path.push(OsStr::from_bytes(name)),
        }
    }
    (!path.as_os_str().is_empty()).then_some(path)
}

/// Panics where something doesn't hold.
pub fn hold_for(playground: &Playground, data: &[u8]) {
    let text = manifest_path(data);
    let path = ManifestPath::from_wtf8(&text);
    let _ = path.display();
    let problem = path.problem(PathFormat::Posix);
    let expected = model(&text);
    assert_eq!(problem.is_none(), expected.is_some(), "{path:?}: {problem:?}, not {expected:?}");
    assert_eq!(path.check(PathFormat::Posix).is_err(), problem.is_some());
    // What Windows takes, it takes for a path of the same names.
    if path.problem(PathFormat::Windows).is_none() {
        assert!(matches!(problem, None | Some(PathProblem::Surrogate)), "{path:?}");
        assert!(!text.contains(&b'\\') && !text.contains(&b':'));
    }
    let root = TargetRoot::open(&playground.root()).unwrap();
    let _ = root.look(path);
    let _ = root.look_at_link(path);
    assert_eq!(root.open_file(path).map(drop), None);
    let wrote = write(&root, path, playground, expected.as_deref());
    assert_eq!(playground.names(""), [playground.base.join("outside"), playground.root()], "{path:?} led out");
    assert_eq!(playground.names("outside"), Vec::<PathBuf>::new(), "{path:?} led out");
    // Folders may have been made on the way to a name that could not be.
    if wrote || root.target(path).is_ok() || expected.is_some_and(|path| path.components().count() > 1) {
        playground.clean();
    }
}

/// Writes a file at the path, if it can be: whether it was.
fn write(root: &TargetRoot, path: ManifestPath<'_>, playground: &Playground, expected: Option<&Path>) -> bool {
    let target = match root.target(path) {
        Ok(target) => target,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    let expected = playground.root().join(expected.unwrap_or_else(|| panic!("{path:?} should be refused")));
    assert_eq!(target.path(), expected);
    let Ok(mut staged) = target.stage() else { return false };
    staged.write_at(b"x", 0).unwrap();
    if staged.commit_over().is_err() {
        return false;
    }
    let real = expected.parent().unwrap().canonicalize().unwrap();
    assert!(real.starts_with(playground.root()), "{path:?} is at {}", real.display());
    assert_eq!(std::fs::read(&expected).unwrap(), b"x");
    true
}
