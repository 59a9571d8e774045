//! `churnstream forget`: asks for a user's erasure, and purges what the log still holds.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use consumer::{DEAD_LETTERS, SCORES, SHADOW_SCORES};
use feature_store::{Store, StoreOptions, UserState};
use partition_log::{Log, LogError, LogOptions, Record, RecordBuf, partition_for};
use types::{Event, EventTime, Offset, PartitionId, Score, SystemEvent, headers};

/// Erases a user: writes an `$erase` event, at which the consumer removes the user's state.
///
/// From then on reads do not find the user and sweeps pass over the user; a rebuild honours it too. The records that the
/// log still holds stay until retention removes them, or until --purge does.
#[derive(Args)]
#[command(after_help = "Examples:
  churnstream forget u000042 --from file:log
  churnstream forget u000042 --from file:log --purge --store state

The second is said once the consumer has read the first and is stopped. It takes the user's events, scores and dead letters
from before the erasure out of the log; all other records keep their offsets. Rows that an import could not read have
no key, so whose they are is not known: they stay. A file that still holds the user must not be imported again.")]
pub(crate) struct Forget {
    /// Who.
    user: String,
    /// The log: file:DIR or kafka:BROKERS. In files, nothing else may be writing to the topic meanwhile.
    #[arg(long, value_name = "PLACE", value_parser = partition_log::parse_place)]
    from: String,
    /// The topic of events.
    #[arg(long, default_value = "events")]
    topic: String,
    /// Take the user's records out of the log, once the erasure was asked for and the consumer has passed it
    #[arg(long, requires = "store")]
    purge: bool,
    /// The consumer's store, which says how far it is. No consumer may be running
    #[arg(long, value_name = "DIR", requires = "purge")]
    store: Option<PathBuf>,
}

impl Forget {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let log = partition_log::open(&self.from, &LogOptions::default())?;
        match &self.store {
            Some(store) if self.purge => {
                let purged = purge(&*log, &self.topic, &self.user, store)?;
                ensure!(
                    purged.iter().any(|(_, purged)| *purged > 0),
                    "nothing of user `{}` from before the erasure was left to take out",
                    self.user
                );
                for (topic, purged) in purged {
                    eprintln!("{purged} records of user `{}` taken out of {topic}", self.user);
                }
                Ok(())
            }
            _ => self.erase(&*log),
        }
    }

    fn erase(&self, log: &dyn Log) -> anyhow::Result<()> {
        let mut topic = log.writer(&self.topic)?;
        let config = topic.config().clone();
        let partition = partition_for(self.user.as_bytes(), config.partitions);
        self.check_known(log, partition)?;
        let now = EventTime(jiff::Timestamp::now().as_millisecond());
        let event = Event {
            entity_type: config.key.as_str().into(),
            entity: self.user.as_str().into(),
            kind: SystemEvent::ERASE.into(),
            ts: now,
            ..Event::default()
        };
        let mut json = Vec::new();
        event.encode(&mut json);
        let mut writer = topic.partition(partition)?;
        let offset = writer.append(now, self.user.as_bytes(), &json, &[])?;
        writer.sync()?;
        eprintln!("user `{}` is erased from offset {offset} of {}-{partition} on", self.user, self.topic);
        Ok(())
    }
}

impl Forget {
    /// Refuses a user who has no record: a misspelt name would seem erased. Where retention has removed records, the user may be known to
    /// state alone.
    fn check_known(&self, log: &dyn Log, partition: PartitionId) -> anyhow::Result<()> {
        let (user, topic) = (&self.user, &self.topic);
        let mut known = false;
        each_of(log, topic, partition, user, |_| known = true)?;
        let start = log.bounds(topic, partition)?.start;
        if !known && start == Offset::ZERO {
            bail!("user `{user}` is not in {topic} of {}: ids are told apart by every letter", log.place());
        }
        if !known {
            eprintln!(
                "mind: user `{user}` has no record in {topic}-{partition}, which begins at offset {start}"
            );
        }
        Ok(())
    }
}

/// Takes a user's records from before the last erasure out of the topics of events and outputs. Returns how many, by topic.
fn purge(log: &dyn Log, events: &str, user: &str, store: &Path) -> anyhow::Result<Vec<(String, u64)>> {
    let Some(config) = log.topic(events)? else { bail!("there is no topic `{events}` in {}", log.place()) };
    let partition = partition_for(user.as_bytes(), config.partitions);
    let Some(erased) = last_erasure(log, events, partition, user)? else {
        bail!(
            "`{events}` holds no erasure of user `{user}`: say `churnstream forget {user}` without --purge first"
        );
    };
    let committed = committed(store, events, partition)?;
    if committed <= erased {
        bail!(
            "the erasure stands at offset {erased} of {events}-{partition}, and the consumer of {} is at {committed}: let it \
             read on first",
            store.display()
        );
    }
    let origin = format!("{events}-{partition}@");
    let is_before = |record: &Record<'_>, topic: &str| match topic {
        // One that cannot be read goes too: to keep it would be the greater harm.
        SCORES | SHADOW_SCORES => {
            !Score::decode(record.value).is_ok_and(|score| score.source.offset >= erased)
        }
        DEAD_LETTERS => {
            let from = record.header(headers::FROM).and_then(|from| std::str::from_utf8(from).ok());
            let offset = from.and_then(|from| from.strip_prefix(&origin)?.parse::<u64>().ok());
            offset.is_some_and(|offset| Offset(offset) < erased)
        }
        _ => record.offset < erased,
    };
    let mut purged = Vec::new();
    // The events last: as long as one is left, it can be said again.
    for topic in [SCORES, SHADOW_SCORES, DEAD_LETTERS, events] {
        if log.topic(topic)?.is_none_or(|config| partition.0 >= config.partitions) {
            continue;
        }
        let mut is_theirs = |record: &Record<'_>| record.key == user.as_bytes() && is_before(record, topic);
        let count =
            log.purge(topic, partition, &mut is_theirs).with_context(|| format!("purging {topic}"))?;
        purged.push((topic.to_owned(), count));
    }
    Ok(purged)
}

/// Where the last erasure of a user stands.
fn last_erasure(
    log: &dyn Log,
    topic: &str,
    partition: PartitionId,
    user: &str,
) -> Result<Option<Offset>, LogError> {
    let mut last = None;
    each_of(log, topic, partition, user, |record| {
        let mut event = Event::default();
        if event.decode(record.value).is_ok() && event.system() == Ok(Some(SystemEvent::Erase)) {
            last = Some(record.offset);
        }
    })?;
    Ok(last)
}

/// Tells of each record of a user in a partition of events.
fn each_of(
    log: &dyn Log,
    topic: &str,
    partition: PartitionId,
    user: &str,
    mut tell: impl FnMut(&Record<'_>),
) -> Result<(), LogError> {
    let mut reader = log.reader(topic, partition, log.bounds(topic, partition)?.start)?;
    let mut records = RecordBuf::default();
    loop {
        records.clear();
        if reader.read(&mut records, 1 << 20)? == 0 {
            return Ok(());
        }
        records.iter().filter(|record| record.key == user.as_bytes()).for_each(|record| tell(&record));
    }
}

/// How far the consumer of a store has come in a partition.
fn committed(store: &Path, topic: &str, partition: PartitionId) -> anyhow::Result<Offset> {
    let about = || format!("reading the store {}", store.display());
    let identity = feature_store::store::identity(store).with_context(about)?;
    if identity.topic != topic {
        bail!("the store {} was made from `{}`, not from `{topic}`", store.display(), identity.topic);
    }
    let opened = Store::open(store, &identity, StoreOptions::default()).with_context(about)?;
    let users = opened.partition::<UserState>(partition).with_context(about)?;
    Ok(users.committed().map_or(Offset::ZERO, |commit| commit.next_input))
}

#[cfg(test)]
mod tests;
