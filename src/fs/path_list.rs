//! Many paths in one allocation.

use std::ffi::OsStr;

use crate::path::{ManifestPath, wtf8_from_os_str};

/// A list of paths in WTF-8, one after another in one buffer: a hundred thousand paths cost their bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PathList {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl PathList {
    /// An empty list.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// How many paths there are.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Appends a path given in WTF-8.
    pub(crate) fn push(&mut self, path: &[u8]) {
        self.bytes.extend_from_slice(path);
        self.ends.push(self.bytes.len());
    }

    /// Appends a path of the host.
    pub(crate) fn push_os(&mut self, path: &OsStr) {
        self.push(&wtf8_from_os_str(path));
    }

    /// Appends all paths of another list.
    pub(crate) fn extend(&mut self, other: &Self) {
        let offset = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends.iter().map(|end| offset + end));
    }

    /// The path at `index`, in WTF-8.
    ///
    /// # Panics
    /// Like a slice, where there is none.
    #[must_use]
    pub(crate) fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    /// The path at `index`.
    #[must_use]
    pub(crate) fn path(&self, index: usize) -> ManifestPath<'_> {
        ManifestPath::from_wtf8(self.get(index))
    }

    /// The paths in order.
    #[must_use = "an iterator does nothing by itself"]
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + DoubleEndedIterator {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The indices of the paths, ordered by their bytes, which is the order of code points.
    #[must_use]
    pub(crate) fn sorted_indices(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by(|left, right| self.get(*left).cmp(self.get(*right)));
        order
    }

    /// The same paths, sorted and each once.
    #[must_use]
    pub(crate) fn sorted_unique(&self) -> Self {
        if self.is_sorted_and_unique() {
            return self.clone();
        }
        let mut sorted = Self { bytes: Vec::with_capacity(self.bytes.len()), ends: Vec::with_capacity(self.len()) };
        for index in self.sorted_indices() {
            let path = self.get(index);
            if sorted.is_empty() || sorted.get(sorted.len() - 1) != path {
                sorted.push(path);
            }
        }
        sorted
    }

    fn is_sorted_and_unique(&self) -> bool {
        (1..self.len()).all(|index| self.get(index - 1) < self.get(index))
    }
}

impl<P: AsRef<[u8]>> FromIterator<P> for PathList {
    fn from_iter<I: IntoIterator<Item = P>>(paths: I) -> Self {
        let mut list = Self::new();
        for path in paths {
            list.push(path.as_ref());
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_back_as_they_went_in() {
        let paths: [&[u8]; 4] = [b"b", b"", b"a/\xed\xb3\xbf", b"b"];
        let list: PathList = paths.iter().collect();
        assert_eq!(list.iter().collect::<Vec<_>>(), paths);
        assert_eq!(list.sorted_indices(), [1, 2, 0, 3]);
        let sorted = list.sorted_unique();
        assert_eq!(sorted.iter().collect::<Vec<_>>(), [b"", &b"a/\xed\xb3\xbf"[..], b"b"]);
        assert_eq!(sorted.sorted_unique(), sorted);
        let twice: PathList = [b"a", b"a"].iter().collect();
        assert_eq!(twice.sorted_unique().len(), 1);
    }
}
