//! Entries of one or several tables by path, each path once.

use super::table::{FileTable, WORTH_A_THREAD};
use crate::path::ManifestPath;
use crate::threads;

/// Where an entry stands: table and row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DistinctRow {
    /// Which table.
    pub table: u32,
    /// Which row of it.
    pub row: u32,
}

/// The distinct paths of tables. As in a Python dict, the first entry with a path settles its position and the last its
/// value.
#[derive(Debug)]
pub(crate) struct DistinctPaths<'a> {
    tables: Vec<&'a FileTable>,
    places: Vec<DistinctRow>,
    /// An open-addressing hash table of [`Slot`]s.
    slots: Vec<u64>,
}

/// What a slot holds: half of the path's hash beside its position, so that paths are compared only where they are almost
/// surely equal (comparing costs a look into distant memory). A free one is all zeros, which memory is when it is new.
#[derive(Debug, Clone, Copy)]
struct Slot {
    tag: u32,
    position: u32,
}

impl Slot {
    fn pack(self) -> u64 {
        u64::from(self.tag) << 32 | u64::from(self.position + 1)
    }

    #[allow(clippy::cast_possible_truncation, reason = "its two halves")]
    const fn unpack(slot: u64) -> Option<Self> {
        match (slot as u32).checked_sub(1) {
            Some(position) => Some(Self { tag: (slot >> 32) as u32, position }),
            None => None,
        }
    }
}

/// How many paths are hashed before they are looked up, and compared at once.
const BATCH: usize = 64;

impl<'a> DistinctPaths<'a> {
    /// Goes through the tables in order.
    #[must_use]
    pub(crate) fn of(tables: &[&'a FileTable]) -> Self {
        let longest = tables.iter().map(|table| table.len()).max().unwrap_or(0);
        let all: usize = tables.iter().map(|table| table.len()).sum();
        let mut distinct = Self {
            tables: tables.to_vec(),
            places: Vec::with_capacity(longest),
            // Manifests that are put together mostly overlap; a small hash table stays near the processor.
            slots: vec![0; slots_for(longest.max(all / 2))],
        };
        if tables.len() > 1 && all >= WORTH_A_THREAD {
            distinct.take_in_hashed_ahead(tables);
        } else {
            distinct.take_in_alone(tables);
        }
        distinct
    }

    fn take_in_alone(&mut self, tables: &[&FileTable]) {
        for (number, table) in (0..).zip(tables) {
            self.take_in(number, table, |row| hash_of(table.path(row)));
        }
    }

    /// Goes through tables whose paths another thread hashes, a table or two ahead. It hashes those that turn out to go on
    /// like earlier ones, too: that costs nobody's time.
    fn take_in_hashed_ahead(&mut self, tables: &[&FileTable]) {
        std::thread::scope(|scope| {
            let (sender, ahead) = std::sync::mpsc::sync_channel(1);
            let helper = threads::helper(scope, move || {
                for table in tables {
                    let hashes: Vec<u64> = (0..table.len()).map(|row| hash_of(table.path(row))).collect();
                    if sender.send(hashes).is_err() {
                        return; // the other thread has panicked
                    }
                }
            });
            if helper.is_none() {
                return self.take_in_alone(tables);
            }
            // Ends early only where the hashing thread panics, and then the scope does.
            for ((number, table), hashes) in (0..).zip(tables).zip(ahead) {
                self.take_in(number, table, |row| hashes[row]);
            }
        });
    }

    /// Goes through one table.
    fn take_in(&mut self, number: u32, table: &FileTable, hash_of: impl Fn(usize) -> u64) {
        let mut row = 0;
        // Where the next path stands if the table goes on like the one that had the last path: mostly it does.
        let mut expected = usize::MAX;
        let mut hashes = [0; BATCH];
        while row < table.len() {
            while self.continues(expected, table, row) {
                for (place, row) in self.places[expected..].iter_mut().zip(row..row + BATCH) {
                    *place = DistinctRow { table: number, row: narrow(row) };
                }
                (row, expected) = (row + BATCH, expected + BATCH);
            }
            while row < table.len()
                && let Some(place) = self.places.get(expected)
                && self.path(*place) == table.path(row)
            {
                self.places[expected] = DistinctRow { table: number, row: narrow(row) };
                (row, expected) = (row + 1, expected + 1);
            }
            // Hashes first: they need no slots, and the looks at distant slots that follow don't wait for them.
            let rows = row..table.len().min(row + BATCH);
            for (hash, row) in hashes.iter_mut().zip(rows.clone()) {
                *hash = hash_of(row);
            }
            // Looks that don't wait for each other bring the slots near.
            let mask = self.slots.len() - 1;
            std::hint::black_box(hashes.iter().fold(0, |all, hash| all | self.slots[start_of(*hash, mask)]));
            row = rows.end;
            for (hash, row) in hashes.iter().zip(rows) {
                let known = self.insert(DistinctRow { table: number, row: narrow(row) }, *hash);
                expected = known.map_or(usize::MAX, |position| position + 1);
            }
        }
    }

    /// Whether a batch of the table's paths are those that stand from a position on, and stand beside each other.
    fn continues(&self, position: usize, table: &FileTable, row: usize) -> bool {
        let Some(places) = position.checked_add(BATCH).and_then(|end| self.places.get(position..end)) else {
            return false;
        };
        let first = places[0];
        let beside =
            |(number, place): (u32, &DistinctRow)| place.table == first.table && place.row == first.row + number;
        row + BATCH <= table.len()
            && (0..).zip(places).all(beside)
            && table.has_paths_of(row..row + BATCH, self.tables[first.table as usize], first.row as usize)
    }

    /// Where the value of each distinct path stands, in the order of the paths' first entries.
    #[must_use]
    pub(crate) fn places(&self) -> &[DistinctRow] {
        &self.places
    }

    /// Where the value of a path stands.
    #[must_use]
    pub(crate) fn find(&self, path: ManifestPath<'_>) -> Option<DistinctRow> {
        self.position(path).map(|position| self.places[position])
    }

    /// Which of [`Self::places`] a path has.
    #[must_use]
    pub(crate) fn position(&self, path: ManifestPath<'_>) -> Option<usize> {
        let slot = self.slots[self.slot_of(path, hash_of(path))];
        Slot::unpack(slot).map(|slot| slot.position as usize)
    }

    /// As [`Self::places`], and forgets the rest.
    #[must_use]
    pub(crate) fn into_places(self) -> Vec<DistinctRow> {
        self.places
    }

    fn path(&self, place: DistinctRow) -> ManifestPath<'a> {
        self.tables[place.table as usize].path(place.row as usize)
    }

    /// Puts an entry in. Gives the position of its path where that was there already.
    fn insert(&mut self, place: DistinctRow, hash: u64) -> Option<usize> {
        let path = self.path(place);
        let at = self.slot_of(path, hash);
        if let Some(slot) = Slot::unpack(self.slots[at]) {
            let position = slot.position as usize;
            self.places[position] = place;
            return Some(position);
        }
        self.slots[at] = Slot { tag: tag_of(hash), position: narrow(self.places.len()) }.pack();
        self.places.push(place);
        if self.places.len() > self.slots.len() / 4 * 3 {
            self.grow();
        }
        None
    }

    /// The slot that holds a path, or the free one where it belongs.
    fn slot_of(&self, path: ManifestPath<'_>, hash: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = start_of(hash, mask);
        loop {
            let Some(slot) = Slot::unpack(self.slots[at]) else { return at };
            if slot.tag == tag_of(hash) && self.path(self.places[slot.position as usize]) == path {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let mut slots = vec![0; self.slots.len() * 2];
        let mask = slots.len() - 1;
        for (position, place) in (0..).zip(&self.places) {
            let hash = hash_of(self.path(*place));
            let mut at = start_of(hash, mask);
            while slots[at] != 0 {
                at = (at + 1) & mask;
            }
            slots[at] = Slot { tag: tag_of(hash), position }.pack();
        }
        self.slots = slots;
    }
}

fn slots_for(entries: usize) -> usize {
    (entries * 2).next_power_of_two().max(8)
}

fn hash_of(path: ManifestPath<'_>) -> u64 {
    crate::hash::quick_hash(path.as_bytes())
}

#[allow(clippy::cast_possible_truncation, reason = "half of the hash is what is wanted")]
const fn tag_of(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[allow(clippy::cast_possible_truncation, reason = "the mask cuts it anyway")]
const fn start_of(hash: u64, mask: usize) -> usize {
    hash as usize & mask
}

/// Rows are counted in 32 bits: the columns of so many would not fit in memory.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
