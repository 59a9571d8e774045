//! Which file is where.
//!
//! ```text
//! DIR/events.topic                              the topic's settings, as JSON
//! DIR/events.lock                               locked while a writer has the topic
//! DIR/events.removing                           locked while segments go, and while a new writer looks through them
//! DIR/events-0/checkpoint                       how far readers may see; see `checkpoint`
//! DIR/events-0/00000000000000000000.log         batches, from the offset in the name
//! DIR/events-0/00000000000000000000.index       offset -> place in the .log
//! DIR/events-0/00000000000000000000.timeindex   timestamp -> offset
//! ```
//!
//! The segment files are those of an Apache Kafka broker, and it ignores the others. A folder copied from a broker has
//! no `.topic` file: its settings are taken to be Kafka's defaults, and gaps between offsets are taken to be the work of
//! compaction. In topics of ours no batch may be missing; only a purge leaves batches with fewer records than offsets.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use types::{Offset, PartitionId};

use crate::{LogError, TopicConfig};

const TOPIC_SUFFIX: &str = ".topic";
pub(super) const LOG: &str = "log";
pub(super) const INDEX: &str = "index";
pub(super) const TIME_INDEX: &str = "timeindex";

/// What an operation on a file was, for its error.
pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LogError {
    move |source| LogError::Io { action, path: path.to_owned(), source }
}

/// A topic's settings and whether it is ours.
#[derive(Debug, Clone)]
pub(super) struct Topic {
    pub(super) config: TopicConfig,
    /// Made by us, so that every offset must be there.
    pub(super) dense: bool,
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    version: u32,
    #[serde(flatten)]
    config: TopicConfig,
}

const VERSION: u32 = 1;

pub(super) fn partition_dir(dir: &Path, topic: &str, partition: PartitionId) -> PathBuf {
    dir.join(format!("{topic}-{partition}"))
}

pub(super) fn lock_path(dir: &Path, topic: &str) -> PathBuf {
    dir.join(format!("{topic}.lock"))
}

/// Waits until nobody removes or replaces segments of a topic, and keeps others from it until what it returns is dropped. Readers and
/// the writer at work need it not: what they use stays.
pub(super) fn lock_segments(dir: &Path, topic: &str) -> Result<File, LogError> {
    let path = dir.join(format!("{topic}.removing"));
    let opened = File::options().write(true).create(true).truncate(false).open(&path);
    let file = opened.map_err(io_error("open", &path))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => tracing::info!(topic, "waiting: old segments are being removed"),
        Err(TryLockError::Error(error)) => return Err(io_error("lock", &path)(error)),
    }
    file.lock().map_err(io_error("lock", &path))?;
    Ok(file)
}

pub(super) fn segment_path(partition_dir: &Path, base: Offset, suffix: &str) -> PathBuf {
    partition_dir.join(format!("{:020}.{suffix}", base.0))
}

/// The base offsets of a partition's segments, ascending. O(files).
pub(super) fn segments(partition_dir: &Path) -> Result<Vec<Offset>, LogError> {
    let mut bases = Vec::new();
    for entry in fs::read_dir(partition_dir).map_err(io_error("list", partition_dir))? {
        let name = entry.map_err(io_error("list", partition_dir))?.file_name();
        let base =
            name.to_str().and_then(|name| name.strip_suffix(".log")).filter(|digits| digits.len() == 20);
        if let Some(Ok(base)) = base.map(str::parse) {
            bases.push(Offset(base));
        }
    }
    bases.sort_unstable();
    Ok(bases)
}

/// A topic's settings: from its metadata, or for folders copied from a broker from their names.
pub(super) fn read_topic(dir: &Path, topic: &str) -> Result<Option<Topic>, LogError> {
    let path = dir.join(format!("{topic}{TOPIC_SUFFIX}"));
    let bad = |detail: String| LogError::BadTopic {
        topic: topic.to_owned(),
        detail: format!("{}: {detail}", path.display()),
    };
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return guess_topic(dir, topic),
        Err(e) => return Err(io_error("read", &path)(e)),
    };
    let metadata: Metadata = serde_json::from_slice(&text).map_err(|e| bad(e.to_string()))?;
    if metadata.version != VERSION {
        return Err(bad(format!("its version is {}, known here is {VERSION}", metadata.version)));
    }
    Ok(Some(Topic { config: metadata.config, dense: true }))
}

fn guess_topic(dir: &Path, topic: &str) -> Result<Option<Topic>, LogError> {
    let partitions =
        partition_folders(dir)?.into_iter().filter(|(name, _)| name == topic).map(|(_, p)| p.0 + 1).max();
    Ok(partitions.map(|partitions| {
        let config = TopicConfig { partitions, key: String::new(), partitioner: "murmur2".to_owned() };
        Topic { config, dense: false }
    }))
}

/// The folders that hold segments of a partition: topic and number. A topic of ours that is still being made has none.
fn partition_folders(dir: &Path) -> Result<Vec<(String, PartitionId)>, LogError> {
    let mut found = Vec::new();
    for name in list(dir)? {
        let Some((topic, number)) = name.rsplit_once('-') else { continue };
        let canonical = number.parse::<u32>().ok().filter(|n| n.to_string() == number);
        let Some(partition) = canonical.filter(|_| super::super::check_name(topic).is_ok()) else { continue };
        if dir.join(&name).is_dir() && !segments(&dir.join(&name))?.is_empty() {
            found.push((topic.to_owned(), PartitionId(partition)));
        }
    }
    Ok(found)
}

/// The names of all topics, sorted.
pub(super) fn topics(dir: &Path) -> Result<Vec<String>, LogError> {
    let ours = list(dir)?.into_iter().filter_map(|name| name.strip_suffix(TOPIC_SUFFIX).map(str::to_owned));
    let mut names: Vec<String> = ours.collect();
    names.extend(partition_folders(dir)?.into_iter().map(|(topic, _)| topic));
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

fn list(dir: &Path) -> Result<Vec<String>, LogError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(io_error("list", dir)(e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(io_error("list", dir))?.file_name().into_string());
    }
    Ok(names)
}

/// Writes a topic's metadata, whole or not at all. `false` if somebody else made the topic meanwhile.
pub(super) fn write_topic(dir: &Path, topic: &str, config: &TopicConfig) -> Result<bool, LogError> {
    let path = dir.join(format!("{topic}{TOPIC_SUFFIX}"));
    let temporary = dir.join(format!(".{topic}{TOPIC_SUFFIX}.{}", std::process::id()));
    let metadata = Metadata { version: VERSION, config: config.clone() };
    let text = serde_json::to_vec_pretty(&metadata).map_err(|e| io_error("write", &path)(e.into()))?;
    let mut file = File::create(&temporary).map_err(io_error("create", &temporary))?;
    let written = file.write_all(&text).and_then(|()| file.sync_all());
    // A link, unlike a rename, does not replace what is there.
    let linked = written.and_then(|()| fs::hard_link(&temporary, &path));
    let _ = fs::remove_file(&temporary);
    match linked {
        Ok(()) => sync_dir(dir).map(|()| true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(io_error("write", &path)(e)),
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), LogError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(io_error("sync", dir))
}
