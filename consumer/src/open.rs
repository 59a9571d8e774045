//! Opening: check that topic, spec, model, store and outputs belong together, and build a task for each partition.

use std::sync::Arc;

use feature_store::{Spec, Store, StoreIdentity};
use partition_log::{Log, TopicConfig, TopicWriter};
use scorer::Schedule;
use telemetry::Metrics;
use types::{Offset, PartitionId};

use crate::measure::Measures;
use crate::output::{DEAD_LETTERS, Output, SCORES, SHADOW_SCORES};
use crate::pipeline::Pipeline;
use crate::promotions::Judge;
use crate::stats::PartitionStats;
use crate::store_read::keep_spec;
use crate::task::{Outputs, PartitionTask};
use crate::{ConsumerError, ConsumerOptions};

/// Everything that a running consumer holds.
pub(crate) struct Opened {
    pub(crate) config: TopicConfig,
    pub(crate) spec: Arc<Spec>,
    pub(crate) schedule: Arc<Schedule>,
    pub(crate) store: Store,
    pub(crate) tasks: Vec<PartitionTask>,
    pub(crate) stats: Vec<Arc<PartitionStats>>,
    /// Kept for their locks: nobody else may write the outputs.
    pub(crate) _writers: Vec<Box<dyn TopicWriter>>,
}

pub(crate) fn open(
    options: &ConsumerOptions,
    log: &dyn Log,
    metrics: &Metrics,
) -> Result<Opened, ConsumerError> {
    let spec = Arc::new(Spec::load(&options.features)?);
    if !options.store.exists() {
        // A model that does not fit leaves nothing behind.
        Schedule::load(&options.model)?.check_spec(spec.hash().as_str(), spec.feature_names())?;
    }
    let config = input_topic(options, log, &spec)?;

    let identity = StoreIdentity {
        spec_hash: spec.hash().to_string(),
        topic: options.topic.clone(),
        partitions: config.partitions,
    };
    let store = Store::open(&options.store, &identity, options.state.clone())?;

    keep_spec(&options.store, &options.features)?;

    let mut writers = Vec::new();
    for topic in [SCORES, SHADOW_SCORES, DEAD_LETTERS] {
        let same = TopicConfig { partitioner: "explicit".to_owned(), ..config.clone() };
        log.create_topic(topic, &same)?;
        writers.push(log.writer(topic)?);
    }

    let (hash, features) = (spec.hash().to_string(), spec.feature_names());
    let judge = Judge { store: &options.store, log, partitions: config.partitions, spec: (&hash, features) };
    let schedule = Arc::new(judge.load(&options.model)?);
    schedule.check_spec(&hash, features)?;
    let (mut tasks, mut stats) = (Vec::new(), Vec::new());
    for partition in (0..config.partitions).map(PartitionId) {
        let (task, counted) = task(options, log, metrics, &store, &spec, &schedule, &mut writers, partition)?;
        tasks.push(task);
        stats.push(counted);
    }
    Ok(Opened { config, spec, schedule, store, tasks, stats, _writers: writers })
}

fn input_topic(options: &ConsumerOptions, log: &dyn Log, spec: &Spec) -> Result<TopicConfig, ConsumerError> {
    let topic = options.topic.clone();
    let Some(config) = log.topic(&topic)? else {
        return Err(ConsumerError::NoInput { topic, place: log.place() });
    };
    if config.key != spec.entity() {
        let (key, entity) = (config.key, spec.entity().to_owned());
        return Err(ConsumerError::WrongKey { topic, key, entity });
    }
    Ok(config)
}

#[expect(clippy::too_many_arguments, reason = "called once, with what `open` has at hand")]
fn task(
    options: &ConsumerOptions,
    log: &dyn Log,
    metrics: &Metrics,
    store: &Store,
    spec: &Arc<Spec>,
    schedule: &Arc<Schedule>,
    writers: &mut [Box<dyn TopicWriter>],
    partition: PartitionId,
) -> Result<(PartitionTask, Arc<PartitionStats>), ConsumerError> {
    let topic = options.topic.clone();
    let users = store.partition::<feature_store::UserState>(partition)?;
    let bounds = log.bounds(&topic, partition)?;
    let committed = users.committed().cloned();
    let next_input = committed.as_ref().map_or(Offset::ZERO, |commit| commit.next_input);
    if next_input > bounds.end {
        return Err(ConsumerError::InputBehindCommit {
            topic,
            partition,
            committed: next_input,
            end: bounds.end,
        });
    }
    let from = if committed.is_some() { users.replay_from() } else { bounds.start };
    if from < bounds.start {
        return Err(ConsumerError::InputGone { topic, partition, needed: from, start: bounds.start });
    }
    let reader = log.reader(&topic, partition, from)?;

    let at = |name: &str| committed.as_ref().and_then(|commit| commit.outputs.get(name).copied());
    let [scores, shadow_scores, dead_letters] = writers else {
        unreachable!("three outputs are opened just above")
    };
    let outputs = Outputs {
        scores: Output::open(log, scores.as_mut(), SCORES, partition, at(SCORES))?,
        shadow_scores: Output::open(
            log,
            shadow_scores.as_mut(),
            SHADOW_SCORES,
            partition,
            at(SHADOW_SCORES),
        )?,
        dead_letters: Output::open(log, dead_letters.as_mut(), DEAD_LETTERS, partition, at(DEAD_LETTERS))?,
    };
    let stats = Arc::new(PartitionStats::new(from, next_input));
    let task = PartitionTask::new(
        partition,
        topic.into(),
        Pipeline::new(Arc::clone(spec)),
        Arc::clone(schedule),
        users,
        reader,
        outputs,
        options.batch_events,
        options.reasons,
        Arc::clone(&stats),
        Measures::new(metrics),
    );
    Ok((task, stats))
}
