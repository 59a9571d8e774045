//! Which bundle holds when: an append-only file of promotions, and the schedule that it makes.

mod error;
mod gate;
mod lines;
mod schedule;

#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use types::EventTime;

pub use error::RegistryError;
pub use gate::{Gain, Gate, Rules, SameRows, gates};
pub use schedule::Schedule;

use crate::Bundle;

/// The file of entries in a registry's folder.
const ENTRIES: &str = "registry.jsonl";
/// The folder of bundles in it, each in a folder named by its hash.
const BUNDLES: &str = "bundles";

/// What happens to a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It becomes the champion: its scores are the ones that count.
    Champion,
    /// It becomes the challenger: it scores in the champion's shadow.
    Challenger,
    /// It is the challenger no more.
    Retired,
}

/// A line of the registry: a bundle takes a role from a moment on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What it becomes.
    pub role: Role,
    /// The bundle's hash, which also names its folder.
    pub bundle: String,
    /// The first as-of time at which this holds; never before that of an earlier line.
    pub from: EventTime,
}

/// A folder with `registry.jsonl`, one checksummed [`Entry`] a line, and the bundles that it speaks of.
///
/// Lines are only ever appended, under a lock of the file, and synced before the call returns. A line that a crash cut short
/// does not count and is removed by the next append; damage anywhere else is an error.
#[derive(Debug, Clone)]
pub struct Registry {
    folder: PathBuf,
}

impl Registry {
    /// Opens a registry, creating its folder if there is none.
    ///
    /// # Errors
    /// If the folder cannot be made, or what is there is damaged.
    pub fn open(folder: &Path) -> Result<Self, RegistryError> {
        let bundles = folder.join(BUNDLES);
        fs::create_dir_all(&bundles).map_err(|source| RegistryError::Io { path: bundles, source })?;
        let registry = Self { folder: folder.to_owned() };
        registry.entries()?;
        Ok(registry)
    }

    /// Every entry, oldest first.
    ///
    /// # Errors
    /// If the file cannot be read or a line is damaged.
    pub fn entries(&self) -> Result<Vec<Entry>, RegistryError> {
        read_entries(&self.folder)
    }

    /// Makes a bundle the champion from a moment on. The bundle is copied into the registry.
    ///
    /// `from` should be a tick that has not been scored yet: scores already written are not computed anew. The first champion holds from the
    /// beginning whatever it says, as nothing held before.
    ///
    /// # Errors
    /// If `from` is earlier than that of the newest entry, that one says the same already, or the bundle or the registry cannot be read or
    /// written.
    pub fn promote(&self, bundle: &Bundle, from: EventTime) -> Result<(), RegistryError> {
        self.append(bundle, Role::Champion, from)
    }

    /// Lets a bundle score in the champion's shadow from a moment on. The bundle is copied into the registry.
    ///
    /// # Errors
    /// As [`promote`](Self::promote).
    pub fn challenge(&self, bundle: &Bundle, from: EventTime) -> Result<(), RegistryError> {
        self.append(bundle, Role::Challenger, from)
    }

    /// Ends a challenger's role from a moment on.
    ///
    /// # Errors
    /// If the bundle is not the challenger then, otherwise as [`promote`](Self::promote).
    pub fn retire(&self, bundle: &Bundle, from: EventTime) -> Result<(), RegistryError> {
        self.append(bundle, Role::Retired, from)
    }

    fn append(&self, bundle: &Bundle, role: Role, from: EventTime) -> Result<(), RegistryError> {
        let path = self.folder.join(ENTRIES);
        let io = |source| RegistryError::Io { path: path.clone(), source };
        let is_new = !path.exists();
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        // Two promotions at once must not both see the same newest entry.
        file.lock().map_err(io)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        let (entries, whole) = lines::read(&bytes).map_err(|error| error.at(&path))?;

        let newest = entries.last().map(|entry| entry.from);
        if let Some(newest) = newest.filter(|&newest| from < newest) {
            return Err(RegistryError::Earlier { from, newest });
        }
        let hash = bundle.hash().to_owned();
        let entry = Entry { role, bundle: hash.clone(), from };
        if entries.last() == Some(&entry) {
            return Err(RegistryError::Already { bundle: hash, from });
        }
        if role == Role::Retired && schedule::challenger_at_end(&entries) != Some(hash.as_str()) {
            return Err(RegistryError::NoChallenger { bundle: hash });
        }
        let target = self.folder.join(BUNDLES).join(&hash);
        if !target.exists() {
            bundle.copy_to(&target)?;
        }

        let line = lines::write(&entry);
        file.set_len(whole).map_err(io)?;
        file.seek(SeekFrom::Start(whole)).map_err(io)?;
        file.write_all(line.as_bytes()).map_err(io)?;
        file.sync_all().map_err(io)?;
        if is_new {
            File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(io)?;
        }
        Ok(())
    }
}

/// The entries of the registry in a folder; none if there is no file yet.
fn read_entries(folder: &Path) -> Result<Vec<Entry>, RegistryError> {
    let path = folder.join(ENTRIES);
    match fs::read(&path) {
        Ok(bytes) => Ok(lines::read(&bytes).map_err(|error| error.at(&path))?.0),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(RegistryError::Io { path, source }),
    }
}
