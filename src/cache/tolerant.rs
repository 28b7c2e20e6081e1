//! A database whose failures cost nothing but the work it would have saved.

use std::path::{Path, PathBuf};

use parking_lot::{Mutex, MutexGuard};
use rusqlite::Connection;

use super::db::{self, FileIdentity, Trouble};

/// A cache file behind a lock, with what has to be said about it.
#[derive(Debug)]
pub(crate) struct TolerantDatabase {
    file: Option<PathBuf>,
    create_tables: &'static str,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connection: Option<Connection>,
    identity: Option<FileIdentity>,
    warnings: Vec<String>,
    /// A broken file was replaced once; a second time the cache is given up.
    was_replaced: bool,
}

impl TolerantDatabase {
    /// Opens `<folder>/<name>.db`. It never fails: a cache that can't be used finds nothing and keeps nothing.
    #[must_use]
    pub(crate) fn open(folder: Option<&Path>, name: &str, create_tables: &'static str) -> Self {
        let folder = folder.map(Path::to_path_buf).or_else(super::default_folder);
        let file = folder.as_ref().map(|folder| folder.join(format!("{name}.db")));
        let database = Self { file, create_tables, state: Mutex::default() };
        let mut state = database.lock();
        match (&database.file, folder) {
            (Some(file), Some(folder)) => match std::fs::create_dir_all(&folder) {
                Ok(()) => database.connect(&mut state, file),
                Err(error) => state.give_up(file, &error),
            },
            _ => state.warnings.push(format!("No home directory was found; {name} will not be used.")),
        }
        drop(state);
        database
    }

    /// A cache that finds nothing and keeps nothing.
    #[must_use]
    pub(crate) fn none(create_tables: &'static str) -> Self {
        Self { file: None, create_tables, state: Mutex::default() }
    }

    /// The database's file, where a folder for it was known.
    #[must_use]
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Whether lookups can find anything.
    #[must_use]
    pub(crate) fn is_usable(&self) -> bool {
        self.lock().connection.is_some()
    }

    /// What went wrong since the last call, for the log.
    #[must_use]
    pub(crate) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().warnings)
    }

    /// Runs `work` on the database, or gives `T::default()` where that can't be done. After a broken file was replaced by a
    /// new one, `work` runs again on that.
    pub(crate) fn with<T: Default>(&self, mut work: impl FnMut(&mut Connection) -> rusqlite::Result<T>) -> T {
        let mut state = self.lock();
        for _ in 0..2 {
            let Some(connection) = state.connection.as_mut() else { break };
            match work(connection) {
                Ok(value) => return value,
                Err(error) => self.recover(&mut state, &error),
            }
        }
        T::default()
    }

    fn connect(&self, state: &mut State, file: &Path) {
        match db::open(file, self.create_tables) {
            Ok(connection) => {
                state.identity = FileIdentity::of(file);
                state.connection = Some(connection);
            }
            Err(error) => {
                state.identity = FileIdentity::of(file);
                self.recover(state, &error);
            }
        }
    }

    /// After an error: a broken file is put aside and a new one made; any other ends the use of the cache.
    fn recover(&self, state: &mut State, error: &rusqlite::Error) {
        state.connection = None;
        let Some(file) = &self.file else { return };
        if db::trouble(error) == Trouble::Unusable || state.was_replaced {
            state.give_up(file, error);
            return;
        }
        state.was_replaced = true;
        match db::put_aside(file, state.identity) {
            Ok(aside) => {
                let (file_text, aside) = (file.display(), aside.display());
                state.warnings.push(format!(
                    "Cache file {file_text} is damaged ({error}). It was put aside as {aside}, and a new one is made."
                ));
                self.connect(state, file);
            }
            Err(rename) => state.give_up(file, &rename),
        }
    }

    /// A panic of another thread leaves the connection as usable as it was: transactions roll back when they are dropped.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    fn give_up(&mut self, file: &Path, error: &dyn std::fmt::Display) {
        self.connection = None;
        self.warnings.push(format!("Cache file {} can't be used and is done without: {error}", file.display()));
    }
}
