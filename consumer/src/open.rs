//! Opening: check that topic, spec, model, store and outputs belong together, and build tasks for partitions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use feature_store::{Spec, Store, StoreError, StoreIdentity};
use partition_log::{Bounds, Log, LogError, PartitionReader, TopicConfig, TopicWriter};
use scorer::Schedule;
use telemetry::Metrics;
use types::{Offset, PartitionId};

use crate::measure::Measures;
use crate::output::{CONTROL, DEAD_LETTERS, Output, OwnOutput, SCORES, SHADOW_SCORES};
use crate::pipeline::{Pipeline, UserStore};
use crate::prices::Prices;
use crate::promotions::Judge;
use crate::stats::PartitionStats;
use crate::status::Needed;
use crate::store_read::keep_spec;
use crate::task::{Commits, Outputs, PartitionTask};
use crate::watch::SweepCounter;
use crate::{ConsumerError, ConsumerOptions};

/// How long a store is waited for that another process has open.
const STORE_PATIENCE: Duration = Duration::from_secs(10);

/// What was checked and opened before any partition is.
pub(crate) struct Base {
    pub(crate) config: TopicConfig,
    pub(crate) spec: Arc<Spec>,
    pub(crate) store: Store,
    /// Whether ticks are decided here: nobody writes them to a topic that others made.
    pub(crate) decides_ticks: bool,
    /// How large a dead letter may be.
    pub(crate) dead_letter_bytes: usize,
    /// Who pays what, where that is said.
    pub(crate) prices: Option<Arc<Prices>>,
    /// One of each partition, owned or not.
    pub(crate) stats: Vec<Arc<PartitionStats>>,
}

/// What a consumer that has all partitions holds.
pub(crate) struct Opened {
    pub(crate) schedule: Arc<Schedule>,
    pub(crate) tasks: Vec<PartitionTask>,
    /// Kept for their locks: nobody else may write the outputs.
    pub(crate) _writers: Vec<Box<dyn TopicWriter>>,
}

pub(crate) fn open_base(options: &ConsumerOptions, log: &dyn Log) -> Result<Base, ConsumerError> {
    let spec = Arc::new(Spec::load(&options.features)?);
    let prices = options.prices.as_deref().map(|path| Prices::load(path, &spec)).transpose()?.map(Arc::new);
    let config = input_topic(options, log, &spec)?;
    if !options.store.exists() {
        // A model that does not fit leaves nothing behind.
        Schedule::load(&options.model)?.check_spec(spec.hash().as_str(), spec.feature_names())?;
    }
    check_partitions(options, log, config.partitions)?;

    let identity = StoreIdentity {
        spec_hash: spec.hash().to_string(),
        topic: options.topic.clone(),
        partitions: config.partitions,
    };
    let store = open_store(options, &identity)?;

    keep_spec(&options.store, &options.features)?;

    let decides_ticks = decides_ticks(log, &config);
    for topic in outputs(decides_ticks) {
        let same = TopicConfig {
            partitioner: "explicit".to_owned(),
            key: spec.entity().to_owned(),
            partitions: config.partitions,
        };
        log.create_topic(topic, &same).map_err(|error| match error {
            differs @ LogError::TopicDiffers { .. } => ConsumerError::OutputsOfAnother {
                place: log.place(),
                input: options.topic.clone(),
                partitions: config.partitions,
                differs: Box::new(differs),
            },
            other => other.into(),
        })?;
    }
    let dead_letter_bytes = log.largest(DEAD_LETTERS)?;
    let stats = (0..config.partitions).map(|_| Arc::default()).collect();
    Ok(Base { config, spec, store, decides_ticks, dead_letter_bytes, prices, stats })
}

/// Opens the store. A command that looks into it has it for a moment, and is waited for.
fn open_store(options: &ConsumerOptions, identity: &StoreIdentity) -> Result<Store, StoreError> {
    let begun = Instant::now();
    loop {
        match Store::open(&options.store, identity, options.state.clone()) {
            Err(StoreError::InUse { .. }) if begun.elapsed() < STORE_PATIENCE => {
                std::thread::sleep(Duration::from_millis(50));
            }
            opened => return opened,
        }
    }
}

/// Whether nobody writes ticks to a topic, so that whoever reads it decides them: others made it, on Kafka.
#[must_use]
pub fn decides_ticks(log: &dyn Log, topic: &TopicConfig) -> bool {
    topic.key.is_empty() && log.as_kafka().is_some()
}

/// The topics that are written to.
pub(crate) fn outputs(decides_ticks: bool) -> impl Iterator<Item = &'static str> {
    [SCORES, SHADOW_SCORES, DEAD_LETTERS].into_iter().chain(decides_ticks.then_some(CONTROL))
}

/// Opens every partition, and its outputs for this process alone.
pub(crate) fn open_all(
    options: &ConsumerOptions,
    log: &dyn Log,
    base: &Base,
    metrics: &Metrics,
) -> Result<Opened, ConsumerError> {
    let mut writers = Vec::new();
    for topic in [SCORES, SHADOW_SCORES, DEAD_LETTERS] {
        writers.push(log.writer(topic)?);
    }
    let partitions = (0..base.config.partitions).map(PartitionId);
    let schedule = load_schedule(options, log, base)?;
    let tasks =
        partitions.map(|partition| own_task(options, log, base, &schedule, metrics, &mut writers, partition));
    let tasks = tasks.collect::<Result<_, _>>()?;
    Ok(Opened { schedule, tasks, _writers: writers })
}

/// The models, as far as they count for this consumer. What the outputs hold must be seen by then.
fn load_schedule(
    options: &ConsumerOptions,
    log: &dyn Log,
    base: &Base,
) -> Result<Arc<Schedule>, ConsumerError> {
    let (hash, features) = (base.spec.hash().to_string(), base.spec.feature_names());
    let judge = Judge { store: &options.store, log, spec: (&hash, features) };
    let schedule = Arc::new(judge.load(&options.model)?);
    schedule.check_spec(&hash, features)?;
    Ok(schedule)
}

fn input_topic(options: &ConsumerOptions, log: &dyn Log, spec: &Spec) -> Result<TopicConfig, ConsumerError> {
    let topic = options.topic.clone();
    let Some(config) = log.topic(&topic)? else {
        return Err(ConsumerError::NoInput { topic, place: log.place() });
    };
    if let Some(kafka) = log.as_kafka() {
        kafka.check_input(&topic)?;
    }
    check_key(log, &topic, &config, spec)?;
    Ok(config)
}

/// Whether a topic is keyed by what a spec is about: a user's events lie in one partition only then.
///
/// # Errors
/// [`ConsumerError::WrongKey`] if it is not.
pub fn check_key(log: &dyn Log, topic: &str, config: &TopicConfig, spec: &Spec) -> Result<(), ConsumerError> {
    // On Kafka, a topic that others made does not say what it is keyed by; a record whose key is not its entity is a dead letter.
    let is_unknown = config.key.is_empty() && log.as_kafka().is_some();
    if config.key != spec.entity() && !is_unknown {
        let (topic, key, entity) = (topic.to_owned(), config.key.clone(), spec.entity().to_owned());
        let (from, to) = copied(&log.place(), &topic, &entity);
        return Err(ConsumerError::WrongKey { topic, key, entity, from, to });
    }
    Ok(())
}

/// What the command calls a topic, and where a copy by another key may stand: on Kafka beside it, under a prefix of its own.
fn copied(place: &str, topic: &str, entity: &str) -> (Box<str>, Box<str>) {
    match place.strip_prefix("kafka:") {
        Some(rest) => {
            let (brokers, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let name = |prefix: &str| format!("kafka:{brokers}/{prefix}{topic}").into();
            (name(prefix), name(&format!("{prefix}by-{entity}.")))
        }
        None => (format!("{place}/{topic}").into(), format!("file:DIR/{topic}").into()),
    }
}

/// On Kafka anybody may give a topic more partitions: then neither the store nor what was written so far fits it any more.
fn check_partitions(options: &ConsumerOptions, log: &dyn Log, now: u32) -> Result<(), ConsumerError> {
    if log.as_kafka().is_none() {
        return Ok(());
    }
    let stored =
        options.store.exists().then(|| feature_store::store::identity(&options.store).ok()).flatten();
    let stored = stored.filter(|stored| stored.topic == options.topic).map(|stored| stored.partitions);
    let scored = log.topic(SCORES)?.map(|scored| scored.partitions);
    match stored.or(scored) {
        Some(before) if before != now => {
            Err(ConsumerError::PartitionsChanged { topic: options.topic.clone(), before, now })
        }
        _ => Ok(()),
    }
}

fn own_task(
    options: &ConsumerOptions,
    log: &dyn Log,
    base: &Base,
    schedule: &Arc<Schedule>,
    metrics: &Metrics,
    writers: &mut [Box<dyn TopicWriter>],
    partition: PartitionId,
) -> Result<PartitionTask, ConsumerError> {
    let topic = options.topic.clone();
    let users = base.store.partition::<feature_store::UserState>(partition)?;
    let bounds = log.bounds(&topic, partition)?;
    let committed = users.committed().cloned();
    let next_input = committed.as_ref().map_or(Offset::ZERO, |commit| commit.next_input);
    check_end(&topic, partition, next_input, bounds)?;
    let from = if committed.is_some() { users.replay_from() } else { bounds.start };
    check_start(&topic, partition, from, bounds)?;
    if committed.is_none() {
        check_beginning(options, base, partition, bounds)?;
    }
    let reader = log.reader(&topic, partition, from)?;

    let at = |name: &str| committed.as_ref().and_then(|commit| commit.outputs.get(name).copied());
    let [scores, shadow_scores, dead_letters] = writers else {
        unreachable!("three outputs are opened just above")
    };
    let open = |writer: &mut Box<dyn TopicWriter>, topic| {
        OwnOutput::open(log, writer.as_mut(), topic, partition, at(topic)).map(Output::Own)
    };
    let outputs = Outputs {
        scores: open(scores, SCORES)?,
        shadow_scores: open(shadow_scores, SHADOW_SCORES)?,
        dead_letters: open(dead_letters, DEAD_LETTERS)?,
        dead_letter_bytes: base.dead_letter_bytes,
        control: None,
        snapshots: None,
    };
    let stats = &base.stats[partition.0 as usize];
    stats.need(Needed::by(&users));
    stats.begin(from, next_input);
    let task = build(options, base, schedule, metrics, partition, users, reader, outputs, Commits::Alone);
    if committed.is_some() {
        task.show_last_sweep(true);
    }
    Ok(task)
}

/// Puts a task together.
#[expect(clippy::too_many_arguments, reason = "the parts of one thing")]
pub(crate) fn build(
    options: &ConsumerOptions,
    base: &Base,
    schedule: &Arc<Schedule>,
    metrics: &Metrics,
    partition: PartitionId,
    users: UserStore,
    reader: Box<dyn PartitionReader>,
    outputs: Outputs,
    commits: Commits,
) -> PartitionTask {
    let stats = &base.stats[partition.0 as usize];
    let swept = SweepCounter::new(Arc::clone(schedule), base.prices.clone(), &options.store, partition);
    PartitionTask::new(
        partition,
        options.topic.as_str().into(),
        Pipeline::new(Arc::clone(&base.spec)).deciding_ticks(base.decides_ticks),
        Arc::clone(schedule),
        users,
        reader,
        outputs,
        options.batch_events,
        options.reasons,
        commits,
        options.tick_idle,
        Arc::clone(stats),
        Measures::new(metrics),
        swept,
    )
}

/// Nothing that was committed is missing at the input's end.
pub(crate) fn check_end(
    topic: &str,
    partition: PartitionId,
    committed: Offset,
    bounds: Bounds,
) -> Result<(), ConsumerError> {
    if committed > bounds.end {
        let (topic, end) = (topic.to_owned(), bounds.end);
        return Err(ConsumerError::InputBehindCommit { topic, partition, committed, end });
    }
    Ok(())
}

/// A partition of which there is no state is read from its first record on. Others may keep their topics for as long as they like: there
/// it is only said.
pub(crate) fn check_beginning(
    options: &ConsumerOptions,
    base: &Base,
    partition: PartitionId,
    bounds: Bounds,
) -> Result<(), ConsumerError> {
    let (topic, start) = (options.topic.clone(), bounds.start);
    if start == Offset::ZERO {
        return Ok(());
    }
    if !options.without_beginning && !base.decides_ticks {
        return Err(ConsumerError::BeginningGone { topic, partition, start });
    }
    tracing::warn!(topic, %partition, %start, "the topic's beginning is gone: users are known by what is left alone");
    Ok(())
}

/// Nothing that is to be replayed is missing at the input's start.
pub(crate) fn check_start(
    topic: &str,
    partition: PartitionId,
    needed: Offset,
    bounds: Bounds,
) -> Result<(), ConsumerError> {
    if needed < bounds.start {
        let (topic, start) = (topic.to_owned(), bounds.start);
        return Err(ConsumerError::InputGone { topic, partition, needed, start });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_by_another_key_stands_in_a_log_of_its_own() {
        for (place, from, to) in [
            ("file:data", "file:data/events", "file:DIR/events"),
            ("kafka:b:9092", "kafka:b:9092/events", "kafka:b:9092/by-user.events"),
            (
                "kafka:b:9092,c:1/shop.",
                "kafka:b:9092,c:1/shop.events",
                "kafka:b:9092,c:1/shop.by-user.events",
            ),
        ] {
            assert_eq!(copied(place, "events", "user"), (from.into(), to.into()));
        }
    }
}
