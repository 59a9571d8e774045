//! A store's folder: its identity, its lock, and building it anew.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use types::{Offset, PartitionId};

use super::backend::{Backend, Batch, SledBackend};
use super::commit::StoredCommit;
use super::keys::{self, Records};
use super::{StoreError, StoreIdentity};

const FORMAT: u32 = 1;
const IDENTITY: &str = "store.toml";
const LOCK: &str = "lock";
/// Locked by who acts on what the store needs of the log, and by who changes that.
const NEEDS: &str = "needs";
const DATABASE: &str = "sled";
/// While a rebuild or a rewriting runs: the new database until it is whole, and the old one until it is deleted.
const NEXT: &str = "sled.next";
const PAST: &str = "sled.past";

#[derive(Serialize, Deserialize)]
struct IdentityFile {
    format: u32,
    #[serde(flatten)]
    identity: StoreIdentity,
}

/// What a rebuild found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// Partitions that have no commit any more, because they had none, it could not be read, or it was another topic's:
    /// they begin anew. The others emit nothing again that lies before their commit.
    pub without_commit: Vec<PartitionId>,
}

/// Locks a folder and checks that its store has this identity; makes it a store if it is empty.
pub(super) fn open(dir: &Path, identity: &StoreIdentity) -> Result<File, StoreError> {
    let lock = lock(dir)?;
    match read_identity(dir)? {
        Some(stored) => check(dir, &stored, identity)?,
        None => write_identity(dir, identity)?,
    }
    Ok(lock)
}

/// Opens the database of a locked folder.
pub(super) fn database(dir: &Path, cache: u64) -> Result<SledBackend, StoreError> {
    let [now, next, past] = [DATABASE, NEXT, PAST].map(|name| dir.join(name));
    // The new one is whole once the old one was moved away.
    if !now.exists() && next.exists() && past.exists() {
        rename(&next, &now)?;
    }
    remove(&next)?;
    remove(&past)?;
    SledBackend::open(&now, cache)
        .map_err(|source| StoreError::Backend { action: "opening the store's database", source })
}

/// Empties a store, so that opening it replays everything from the log's begin. Commits are kept: outputs before them are
/// not written again. `log_starts` are the first offsets that the log has, in order of partitions. Another identity is
/// taken on; commits of another topic or partition count are not kept. May be interrupted and repeated at any moment.
///
/// With another spec, what is emitted from the commit on is made by it: outputs must end where the commit says, since what
/// lies beyond would be compared with records that the old spec made.
///
/// # Errors
/// [`StoreError::LogTooShort`] if the log no longer begins at offset 0 in every partition: nothing is changed then.
/// [`StoreError::InUse`] while a process has the store, [`StoreError::Format`] if the folder holds no store.
pub fn rebuild(dir: &Path, identity: &StoreIdentity, log_starts: &[Offset]) -> Result<Rebuilt, StoreError> {
    let _lock = lock(dir)?;
    let stored = read_identity(dir)?;
    for (number, start) in log_starts.iter().enumerate() {
        if *start > Offset::ZERO {
            return Err(StoreError::LogTooShort { partition: PartitionId(number as u32), start: *start });
        }
    }
    let partitions = (0..identity.partitions).map(PartitionId);
    let keep = stored
        .as_ref()
        .is_some_and(|stored| stored.topic == identity.topic && stored.partitions == identity.partitions);
    let commits = match database(dir, 1 << 20) {
        Ok(old) if keep => partitions.clone().map(|partition| read_commit(&old, partition)).collect(),
        // What is too damaged to be opened has no commits to keep.
        _ => Vec::new(),
    };
    let database = SledBackend::open(&dir.join(NEXT), 1 << 20).map_err(keys::writing)?;
    let mut without_commit = Vec::new();
    for partition in partitions {
        let Some(Some(commit)) = commits.get(partition.0 as usize) else {
            without_commit.push(partition);
            continue;
        };
        let stored = StoredCommit { commit: commit.commit.clone(), replay_from: Offset::ZERO };
        let mut batch = Batch::default();
        batch.put(keys::COMMIT, stored.encode());
        let tree = database.tree(&keys::tree(partition));
        tree.and_then(|tree| tree.apply(batch)).map_err(keys::writing)?;
    }
    database.flush().map_err(keys::writing)?;
    drop(database);
    put_in_place(dir)?;
    write_identity(dir, identity)?;
    remove(&dir.join(PAST))?;
    Ok(Rebuilt { without_commit })
}

/// Writes a store's database anew with what it holds now. What was replaced or removed before (a forgotten user, say) lies in the free parts
/// of a database's files until something is written over it; the new files never held it. What the disk keeps of a removed file is the
/// system's matter. Takes as much room again meanwhile. May be interrupted and repeated at any moment: the store is the old one or the new
/// one, whole, and what is left of the other goes when it is next opened.
///
/// # Errors
/// [`StoreError::InUse`] while a process has the store, [`StoreError::Format`] if the folder holds none, and if the database fails or the
/// disk is full.
pub fn rewrite(dir: &Path) -> Result<(), StoreError> {
    rewrite_until(dir, &mut |_| Ok(()))
}

/// The steps of a rewriting, each begun when the one before is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Copy,
    Replace,
    Remove,
    Done,
}

pub(super) fn rewrite_until(
    dir: &Path,
    before: &mut dyn FnMut(Step) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    identity(dir)?;
    let _lock = lock(dir)?;
    let old = database(dir, 1 << 20)?;
    before(Step::Copy)?;
    let new = SledBackend::open(&dir.join(NEXT), 1 << 20).map_err(keys::writing)?;
    old.copy_to(&new).and_then(|()| new.flush()).map_err(keys::writing)?;
    drop((old, new));
    before(Step::Replace)?;
    put_in_place(dir)?;
    before(Step::Remove)?;
    remove(&dir.join(PAST))?;
    before(Step::Done)
}

/// Puts the new database in the place of the old one, which stays beside it.
fn put_in_place(dir: &Path) -> Result<(), StoreError> {
    let [now, next, past] = [DATABASE, NEXT, PAST].map(|name| dir.join(name));
    sync_all(&next).map_err(|source| io("syncing", &next, source))?;
    if now.exists() {
        rename(&now, &past)?;
    }
    rename(&next, &now)
}

/// Makes a folder durable with all that is in it.
fn sync_all(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_all(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}

/// Why the store's needs are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// What the store does not need is removed from the log. Several may do that.
    Acted,
    /// The store needs more from now on: it is rebuilt. Nobody may act on less meanwhile.
    Grow,
}

/// Holds what a store needs of its log until what is returned is dropped: taken before it is asked, so that a rebuild does not begin
/// while the log's beginning is being removed.
///
/// # Errors
/// [`StoreError::NeedsHeld`] if another process holds it otherwise; [`StoreError::Io`] if there is no such folder.
pub fn hold_needs(dir: &Path, why: Needs) -> Result<File, StoreError> {
    let path = dir.join(NEEDS);
    let open = File::options().create(true).truncate(false).write(true).open(&path);
    let file = open.map_err(|source| io("opening", &path, source))?;
    let taken = match why {
        Needs::Acted => file.try_lock_shared(),
        Needs::Grow => file.try_lock(),
    };
    match taken {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::NeedsHeld { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io("locking", &path, source)),
    }
}

fn read_commit(database: &SledBackend, partition: PartitionId) -> Option<StoredCommit> {
    let tree = database.tree(&keys::tree(partition)).ok()?;
    Records { tree: &*tree, partition }.commit().ok()?
}

fn lock(dir: &Path) -> Result<File, StoreError> {
    fs::create_dir_all(dir).map_err(|source| io("making the folder", dir, source))?;
    let path = dir.join(LOCK);
    let open = File::options().create(true).truncate(false).write(true).open(&path);
    let file = open.map_err(|source| io("opening", &path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io("locking", &path, source)),
    }
}

/// The identity of a folder's store; `None` if the folder is empty.
/// What the store in a folder was built from.
///
/// # Errors
/// [`StoreError::Format`] if the folder holds no store.
pub fn identity(dir: &Path) -> Result<StoreIdentity, StoreError> {
    read_identity(dir)?.ok_or_else(|| StoreError::Format {
        path: dir.to_owned(),
        detail: "there is no store in it".to_owned(),
    })
}

fn read_identity(dir: &Path) -> Result<Option<StoreIdentity>, StoreError> {
    let path = dir.join(IDENTITY);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut names = fs::read_dir(dir).map_err(|source| io("listing", dir, source))?;
            let ours = |name: &std::ffi::OsStr| name == LOCK || name == NEEDS || name == "store.toml.next";
            let strange = names.find_map(|entry| entry.ok().filter(|entry| !ours(&entry.file_name())));
            return strange.map_or(Ok(None), |entry| {
                let detail = format!("there is no {IDENTITY} beside it; choose an empty folder");
                Err(StoreError::Format { path: entry.path(), detail })
            });
        }
        Err(source) => return Err(io("reading", &path, source)),
    };
    let bad = |detail: String| StoreError::Format { path: path.clone(), detail };
    let file: IdentityFile = toml::from_str(&text).map_err(|error| bad(error.message().to_owned()))?;
    if file.format != FORMAT {
        return Err(bad(format!(
            "its format is {}, known is {FORMAT}; rebuild it from the log in another folder",
            file.format
        )));
    }
    Ok(Some(file.identity))
}

fn write_identity(dir: &Path, identity: &StoreIdentity) -> Result<(), StoreError> {
    let (path, next) = (dir.join(IDENTITY), dir.join("store.toml.next"));
    let text = toml::to_string(&IdentityFile { format: FORMAT, identity: identity.clone() })
        .map_err(|error| StoreError::Format { path: path.clone(), detail: error.to_string() })?;
    let write = || {
        let mut file = File::create(&next)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| io("writing", &next, source))?;
    rename(&next, &path)
}

fn check(dir: &Path, stored: &StoreIdentity, asked: &StoreIdentity) -> Result<(), StoreError> {
    let fields = [
        ("feature spec", stored.spec_hash.clone(), asked.spec_hash.clone()),
        ("topic", stored.topic.clone(), asked.topic.clone()),
        ("partition count", stored.partitions.to_string(), asked.partitions.to_string()),
    ];
    match fields.into_iter().find(|(_, stored, asked)| stored != asked) {
        None => Ok(()),
        Some((what, stored, asked)) => Err(StoreError::Mismatch { dir: dir.to_owned(), what, stored, asked }),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    let sync = |path: &Path| path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all());
    fs::rename(from, to).and_then(|()| sync(to)).map_err(|source| io("moving into place", to, source))
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io("removing", path, error)),
        _ => Ok(()),
    }
}

fn io(action: &'static str, path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io { action, path: PathBuf::from(path), source }
}
