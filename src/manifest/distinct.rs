//! Entries of one or several tables by path, each path once.

use super::table::FileTable;
use crate::path::ManifestPath;

/// Where an entry stands: table and row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which table.
    pub table: u32,
    /// Which row of it.
    pub row: u32,
}

/// The distinct paths of tables. As in a Python dict, the first entry with a path settles its position and the last its
/// value.
#[derive(Debug)]
pub struct DistinctPaths<'a> {
    tables: Vec<&'a FileTable>,
    places: Vec<Place>,
    hashes: Vec<u64>,
    slots: Vec<Slot>,
}

/// A slot of an open-addressing hash table. Half of the hash stands beside the position, so that paths are compared only
/// where they are almost surely equal: comparing costs a look into distant memory.
#[derive(Debug, Clone, Copy)]
struct Slot {
    tag: u32,
    position: u32,
}

/// How many paths are hashed before they are looked up.
const BATCH: usize = 64;

const FREE: Slot = Slot { tag: 0, position: u32::MAX };

impl<'a> DistinctPaths<'a> {
    /// Goes through the tables in order.
    #[must_use]
    pub fn of(tables: &[&'a FileTable]) -> Self {
        let room = tables.iter().map(|table| table.len()).max().unwrap_or(0);
        let mut distinct = Self {
            tables: tables.to_vec(),
            places: Vec::with_capacity(room),
            hashes: Vec::with_capacity(room),
            slots: vec![FREE; slots_for(room)],
        };
        for (number, table) in (0..).zip(tables) {
            // Hashes first: they need no slots, and the looks at distant slots that follow don't wait for them.
            let mut hashes = [0; BATCH];
            for start in (0..table.len()).step_by(BATCH) {
                let rows = start..table.len().min(start + BATCH);
                for (hash, row) in hashes.iter_mut().zip(rows.clone()) {
                    *hash = hash_of(table.path(row));
                }
                for (hash, row) in hashes.iter().zip(rows) {
                    distinct.insert(Place { table: number, row: narrow(row) }, *hash);
                }
            }
        }
        distinct
    }

    /// Where the value of each distinct path stands, in the order of the paths' first entries.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Where the value of a path stands.
    #[must_use]
    pub fn find(&self, path: ManifestPath<'_>) -> Option<Place> {
        self.position(path).map(|position| self.places[position])
    }

    /// Which of [`Self::places`] a path has.
    #[must_use]
    pub fn position(&self, path: ManifestPath<'_>) -> Option<usize> {
        let position = self.slots[self.slot_of(path, hash_of(path))].position as usize;
        (position < self.places.len()).then_some(position)
    }

    fn path(&self, place: Place) -> ManifestPath<'a> {
        self.tables[place.table as usize].path(place.row as usize)
    }

    fn insert(&mut self, place: Place, hash: u64) {
        let path = self.path(place);
        let slot = self.slot_of(path, hash);
        if let Some(known) = self.places.get_mut(self.slots[slot].position as usize) {
            *known = place;
            return;
        }
        self.slots[slot] = Slot { tag: tag_of(hash), position: narrow(self.places.len()) };
        self.places.push(place);
        self.hashes.push(hash);
        if self.places.len() * 2 > self.slots.len() {
            self.grow();
        }
    }

    /// The slot that holds a path, or the free one where it belongs.
    fn slot_of(&self, path: ManifestPath<'_>, hash: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = start_of(hash, mask);
        loop {
            let slot = self.slots[at];
            let Some(place) = self.places.get(slot.position as usize) else { return at };
            if slot.tag == tag_of(hash) && self.path(*place) == path {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let mut slots = vec![FREE; self.slots.len() * 4];
        let mask = slots.len() - 1;
        for (position, hash) in self.hashes.iter().enumerate() {
            let mut at = start_of(*hash, mask);
            while slots[at].position != FREE.position {
                at = (at + 1) & mask;
            }
            slots[at] = Slot { tag: tag_of(*hash), position: narrow(position) };
        }
        self.slots = slots;
    }
}

fn slots_for(entries: usize) -> usize {
    (entries * 2 + 2).next_power_of_two()
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
