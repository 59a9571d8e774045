//! `churnstream forget`: asks for a user's erasure, and purges what the log still holds.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use consumer::{DEAD_LETTERS, SCORES, SHADOW_SCORES, SNAPSHOTS};
use feature_store::{Store, StoreOptions, UserState};
use partition_log::{KafkaLog, Log, LogError, LogOptions, Record, RecordBuf, partition_for};
use types::{Event, EventTime, Offset, PartitionId, Score, SystemEvent, headers};

/// Erases a user: writes an `$erase` event, at which the consumer removes the user's state.
///
/// From then on reads do not find the user and sweeps pass over the user; a rebuild honours it too. The records that the
/// log still holds, and what the store's files still have of the user in their free parts, stay until --purge; on Kafka, until
/// retention removes them.
#[derive(Args)]
#[command(after_help = "Examples:
  churnstream forget u000042 --from file:log
  churnstream forget u000042 --from file:log --purge --store state

--purge is for file: only: a broker removes records by their age, not one user's.
The second is said once the consumer has read the first and has written all state: let it end by --until-end. It takes
the user's events, scores and dead letters up to the erasure out of the log, itself included; all other records keep
their offsets. And it writes the store's files anew, for which there must be room on the disk. Interrupted, log and store
can be used, and it can be said again. Rows that an import could not read have no key, so whose they are is not known: they stay. A
file that still holds the user must not be imported again.")]
pub(crate) struct Forget {
    /// Who.
    user: String,
    /// The log: file:DIR or kafka:BROKERS. In files, nothing else may be writing to the topic meanwhile.
    #[arg(long, value_name = "PLACE", value_parser = partition_log::parse_place)]
    from: String,
    /// The topic of events.
    #[arg(long, default_value = "events")]
    topic: String,
    /// Take the user's records out of the log, and what is left of the user out of the store's files, once the erasure was asked for and the
    /// consumer has passed it. For file: only; on Kafka, retention removes records by their age
    #[arg(long, requires = "store")]
    purge: bool,
    /// The consumer's store, which says how far it is. No consumer may be running
    #[arg(long, value_name = "DIR", requires = "purge")]
    store: Option<PathBuf>,
}

impl Forget {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let log = partition_log::open(&self.from, &LogOptions::default())?;
        if let Some(kafka) = log.as_kafka().filter(|_| self.purge) {
            bail!(self.no_purge(kafka));
        }
        match &self.store {
            Some(store) if self.purge => {
                let purged = purge(&*log, &self.topic, &self.user, store)?;
                for (topic, purged) in purged {
                    eprintln!("{purged} records of user `{}` taken out of {topic}", self.user);
                }
                eprintln!("the store in {} was written anew", store.display());
                Ok(())
            }
            _ => self.erase(&*log),
        }
    }

    /// What to do where single records cannot be removed. Nothing was asked or done yet.
    fn no_purge(&self, kafka: &KafkaLog) -> String {
        let (user, from) = (&self.user, &self.from);
        let topics = [&self.topic, SCORES, SHADOW_SCORES, DEAD_LETTERS].map(|topic| kafka.name(topic));
        let command = kafka.command_to_set(&topics[0], "retention.ms=7776000000");
        format!(
            "--purge is for file: only: a topic on Kafka keeps each record until its retention removes it, and nobody can take out \
             one user's. What works: `churnstream forget {user} --from {from}`, from which on state, reads and sweeps are without \
             the user. The records stay in {}, for ever if churnstream made them, until a retention is set for each that \
             removes them by age, as 90 days by `{command}`, or until all up to an offset are removed by \
             kafka-delete-records.sh. {} is without the user when Kafka has compacted it; what a store's files may still have in \
             their free parts goes with the store: remove it, and it is filled from there",
            topics.join(", "),
            kafka.name(SNAPSHOTS)
        )
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

/// Takes a user's records from before the last erasure out of the topics of events and outputs, the erasure too, and writes the store anew.
/// Returns how many, by topic.
///
/// Nothing needs the erasure then: no block of the store is older, and a replay meets nothing that it would remove.
fn purge(log: &dyn Log, events: &str, user: &str, store: &Path) -> anyhow::Result<Vec<(String, u64)>> {
    let Some(config) = log.topic(events)? else { bail!("there is no topic `{events}` in {}", log.place()) };
    let partition = partition_for(user.as_bytes(), config.partitions);
    let Some(erased) = last_erasure(log, events, partition, user)? else {
        bail!(
            "nothing of user `{user}` can be taken out: `{events}` holds no erasure of user `{user}`. Say `churnstream forget {user}` \
             without --purge first, unless all was taken out already"
        );
    };
    let (committed, replay_from) = committed(store, events, partition)?;
    if committed <= erased {
        bail!(
            "the erasure stands at offset {erased} of {events}-{partition}, and the consumer of {} is at {committed}: let it \
             read on first",
            store.display()
        );
    }
    if replay_from <= erased {
        bail!(
            "the consumer of {} has passed the erasure, and not all state is written yet: let it run once more, with --until-end",
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
        _ => record.offset <= erased,
    };
    let mut purged = Vec::new();
    // The events last, and of them the erasure: as long as it is there, all can be said again.
    for topic in [SCORES, SHADOW_SCORES, DEAD_LETTERS, events] {
        if log.topic(topic)?.is_none_or(|config| partition.0 >= config.partitions) {
            continue;
        }
        if topic == events {
            feature_store::store::rewrite(store)
                .with_context(|| format!("writing the store {} anew", store.display()))?;
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

/// How far the consumer of a store has come in a partition, and below which offset all state is in the store's blocks.
fn committed(store: &Path, topic: &str, partition: PartitionId) -> anyhow::Result<(Offset, Offset)> {
    let about = || format!("reading the store {}", store.display());
    let identity = feature_store::store::identity(store).with_context(about)?;
    if identity.topic != topic {
        bail!("the store {} was made from `{}`, not from `{topic}`", store.display(), identity.topic);
    }
    let opened = Store::open(store, &identity, StoreOptions::default()).with_context(about)?;
    let users = opened.partition::<UserState>(partition).with_context(about)?;
    Ok((users.committed().map_or(Offset::ZERO, |commit| commit.next_input), users.replay_from()))
}

#[cfg(test)]
mod tests;
