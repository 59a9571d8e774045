//! A process's part in a group that shares the partitions of a topic: one consumer and one transactional producer.
//!
//! What the process writes and how far it has read are committed together, in a transaction over all its partitions. The group's
//! coordinator accepts the offsets only from a member of the present generation, so a process that was thought dead cannot commit. An
//! outcome that is not known is never taken for an abort: either the same call is made again until it is known, or the group is joined
//! anew, which waits until the brokers know.
//!
//! There is one way to go on after a failure: [`KafkaGroup`] is dropped, with everything that was read and written in the open
//! transaction, and joined again.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer as _;
use types::{Offset, PartitionId};

use super::KafkaLog;
use super::closing::{Target, without_ends};
use super::connect::{number, signed, unsigned};
use super::group_reader::GroupReader;
use super::membership::{GroupConsumer, Membership, taken};
use super::reader::Passing;
use super::settle::{Asker, stable};
use super::transaction::{GroupProducer, TransactionWriter};
use crate::{LogError, PartitionReader};

/// How long one try of a commit may take; it is tried again.
pub(super) const TRY: Duration = Duration::from_secs(5);
/// How long joining may take: as long as brokers may need to end what the last member of this name left.
pub(super) const JOIN: Duration = Duration::from_secs(60);
/// How long one look at the brokers may take while others wait for this process.
const LOOK: Duration = Duration::from_secs(1);
/// What librdkafka fetches ahead of all partitions together, unless each has the least already.
const QUEUES_KBYTES: u32 = 64 << 10;
/// What it fetches ahead of one partition at the least, and at the most.
const LEAST_QUEUE_KBYTES: u32 = 1 << 10;
const MOST_QUEUE_KBYTES: u32 = 16 << 10;

/// Who takes part in which group.
#[derive(Clone)]
pub struct GroupOptions {
    /// The group: the processes of one name share the partitions.
    pub group: String,
    /// This process among them. No two that run at a time may have the same; one that is started again should have its old one.
    pub member: String,
    /// The topic that is read.
    pub topic: String,
    /// The topics that are written to.
    pub outputs: Vec<String>,
    /// After this long without a sign of life the group goes on without a process.
    pub session_timeout: Duration,
    /// After this long the brokers abort a transaction that nobody ends.
    pub transaction_timeout: Duration,
    /// Whether the process is to stop: joining is not wanted any more, and what cannot be written is not waited for as long.
    pub give_up: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// A change of what this process owns. Nobody else gets what is taken away before this was obeyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupEvent {
    /// These come: they are this process's from now on, to be had by [`KafkaGroup::take`], and may go before that.
    Assigned(Vec<PartitionId>),
    /// These are to go: commit, then [`KafkaGroup::release`].
    Revoked(Vec<PartitionId>),
    /// The group goes on without this process: nothing of the open transaction can be committed. Join again.
    Lost(Vec<PartitionId>),
}

/// How far a partition is done, as the group knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOffset {
    /// The partition.
    pub partition: PartitionId,
    /// The offset of the next record.
    pub next: Offset,
    /// What the committing process noted beside it, at most 4,000 bytes.
    pub note: String,
}

/// Why a transaction was not committed.
#[derive(Debug, thiserror::Error)]
pub enum NotCommitted {
    /// It is aborted, or will be: nothing of it counts.
    #[error("the transaction is aborted: {0}")]
    Aborted(String),
    /// Nobody knows yet; joining again finds out.
    #[error("the brokers did not say whether the transaction was committed: {0}")]
    Unknown(String),
}

/// A process in a group.
pub struct KafkaGroup {
    pub(super) log: KafkaLog,
    pub(super) member: String,
    outputs: Vec<String>,
    pub(super) topic: Arc<str>,
    pub(super) consumer: Option<Arc<GroupConsumer>>,
    pub(super) producer: Option<Arc<GroupProducer>>,
    /// Sees what is not committed.
    pub(super) asker: Option<Asker>,
    targets: Mutex<Vec<Target>>,
    give_up: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl KafkaLog {
    /// Joins a group, after the brokers have ended what the last process of this name left open.
    ///
    /// # Errors
    /// If the brokers refuse, or do not answer within a minute.
    pub fn join(&self, options: &GroupOptions) -> Result<KafkaGroup, LogError> {
        let action = || format!("join group `{}`", options.group);
        let failed = |error: KafkaError| self.connect.error(action(), &error);
        // From here on clients are let go of by its drop, whatever fails.
        let mut group = KafkaGroup {
            log: self.clone(),
            member: options.member.clone(),
            outputs: options.outputs.iter().map(|output| self.name(output)).collect(),
            topic: self.name(&options.topic).into(),
            consumer: None,
            producer: None,
            asker: None,
            targets: Mutex::default(),
            give_up: Arc::clone(&options.give_up),
        };
        let producer: GroupProducer = self
            .connect
            .producer_config(self.compression)
            .set("transactional.id", format!("{}-{}", options.group, options.member))
            .set("transaction.timeout.ms", options.transaction_timeout.as_millis().to_string())
            .set("message.timeout.ms", options.transaction_timeout.as_millis().to_string())
            .set("delivery.report.only.error", "true")
            .create_with_context(self.connect.context())
            .map_err(failed)?;
        let producer = group.producer.insert(Arc::new(producer));
        let deadline = Instant::now() + JOIN;
        loop {
            match producer.init_transactions(TRY) {
                Err(KafkaError::Transaction(error))
                    if error.is_retriable() && Instant::now() < deadline && !(options.give_up)() => {}
                other => break other.map_err(failed)?,
            }
        }
        let partitions = self.partitions(&group.topic)?.unwrap_or(0);
        let mut config = self.connect.consumer_config(&options.group, queue_kbytes(partitions));
        config
            .set("group.instance.id", &options.member)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", options.session_timeout.as_millis().to_string())
            .set(
                "heartbeat.interval.ms",
                (options.session_timeout.as_millis() / 10).clamp(100, 3000).to_string(),
            );
        if self.connect.settings.get("retry.backoff.ms").is_none() {
            // An offset is not stable until the marker of its transaction is there: a matter of milliseconds.
            config.set("retry.backoff.ms", "5");
        }
        let consumer = config.create_with_context(Membership::default()).map_err(failed)?;
        let consumer = group.consumer.insert(Arc::new(consumer));
        let asker = self
            .connect
            .consumer_config(&options.group, 64)
            .set("isolation.level", "read_uncommitted")
            .create_with_context(self.connect.context())
            .map_err(failed)?;
        self.settle(producer, consumer, group.asker.insert(asker), options)?;
        producer.begin_transaction().map_err(failed)?;
        consumer.subscribe(&[&group.topic]).map_err(failed)?;
        Ok(group)
    }
}

/// How many KiB librdkafka fetches ahead of each partition. A process may come to have all of the topic's, each with a queue of its own, so
/// they share what a process has for that; and a single one has no use for more than a few of the largest batches.
fn queue_kbytes(partitions: u32) -> u32 {
    (QUEUES_KBYTES / partitions.max(1)).clamp(LEAST_QUEUE_KBYTES, MOST_QUEUE_KBYTES)
}

impl KafkaGroup {
    fn closed(&self) -> LogError {
        self.log.connect.failed("use a group", "it was left")
    }

    /// What is written to.
    pub(super) fn targets(&self) -> MutexGuard<'_, Vec<Target>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn consumer(&self) -> Result<&Arc<GroupConsumer>, LogError> {
        self.consumer.as_ref().ok_or_else(|| self.closed())
    }

    /// Waits for the group to want something, and keeps the membership alive: call it at least every few seconds.
    ///
    /// # Errors
    /// If this process cannot be a member any more: join again.
    pub fn poll(&self, wait: Duration) -> Result<Option<GroupEvent>, LogError> {
        let consumer = self.consumer()?;
        if let Some(event) = consumer.context().next() {
            return Ok(Some(event));
        }
        match consumer.poll(wait) {
            Some(Ok(_)) => {
                return Err(self
                    .log
                    .connect
                    .failed("read in a group", "a record came that no reader waits for"));
            }
            Some(Err(error)) => {
                let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_))
                    || matches!(
                        error.rdkafka_error_code(),
                        Some(
                            RDKafkaErrorCode::Fatal
                                | RDKafkaErrorCode::FencedInstanceId
                                | RDKafkaErrorCode::UnknownTopicOrPartition
                                | RDKafkaErrorCode::GroupAuthorizationFailed
                                | RDKafkaErrorCode::TopicAuthorizationFailed
                        )
                    );
                if fatal {
                    return Err(self.log.connect.error("take part in the group", &error));
                }
                tracing::debug!(%error, "group");
            }
            None => {}
        }
        Ok(consumer.context().next())
    }

    /// How far these partitions are done; `None` as long as that is not known, because a transaction is open on one of them (of a member that
    /// died, it may be) or no broker answers. Asks for a second at most: ask again.
    ///
    /// # Errors
    /// If the group was left.
    pub fn committed(&self, partitions: &[PartitionId]) -> Result<Option<Vec<GroupOffset>>, LogError> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            list.add_partition(&self.topic, number(*partition));
        }
        match stable(&**self.consumer()?, list, LOOK) {
            Ok(list) => {
                let known = list.elements().into_iter().filter_map(|element| match element.offset() {
                    rdkafka::Offset::Offset(next) => Some(GroupOffset {
                        partition: PartitionId(u32::try_from(element.partition()).ok()?),
                        next: unsigned(next),
                        note: without_ends(element.metadata()).to_owned(),
                    }),
                    _ => None,
                });
                Ok(Some(known.collect()))
            }
            Err(error) => {
                tracing::debug!(%error, "the group's offsets are not stable yet");
                Ok(None)
            }
        }
    }

    /// Whether a transaction is open in the outputs of a partition: what is written behind it is seen only when it has ended.
    ///
    /// # Errors
    /// If the brokers do not say.
    pub fn is_open(&self, partition: PartitionId) -> Result<bool, LogError> {
        let Some(asker) = &self.asker else { return Err(self.closed()) };
        for topic in &self.outputs {
            let failed =
                |error| self.log.connect.error(format!("ask for the ends of {topic}-{partition}"), &error);
            let (_, end) = asker.fetch_watermarks(topic, number(partition), LOOK).map_err(failed)?;
            // The stable end is asked for second: it only grows.
            let seen = self.log.asker.fetch_watermarks(topic, number(partition), LOOK).map_err(failed)?;
            if seen.1 < end {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A reader of a partition that is to be taken. It gives nothing before [`KafkaGroup::take`].
    ///
    /// # Errors
    /// If librdkafka does not know the partition.
    pub fn reader(&self, partition: PartitionId, from: Offset) -> Result<Box<dyn PartitionReader>, LogError> {
        let consumer = self.consumer()?;
        let queue = consumer
            .split_partition_queue(&self.topic, number(partition))
            .ok_or_else(|| self.log.connect.failed("read in a group", format!("no partition {partition}")))?;
        let reader = GroupReader {
            log: self.log.clone(),
            topic: Arc::clone(&self.topic),
            partition,
            consumer: Arc::clone(consumer),
            queue,
            next: from,
            passing: Passing::default(),
        };
        Ok(self.log.through_map(&self.topic, Box::new(reader)))
    }

    /// Begins to fetch partitions that came, each at an offset.
    ///
    /// # Errors
    /// If librdkafka refuses.
    pub fn take(&self, starts: &[(PartitionId, Offset)]) -> Result<(), LogError> {
        let failed = |error| self.log.connect.error("take partitions", &error);
        let mut list = TopicPartitionList::with_capacity(starts.len());
        for (partition, from) in starts {
            let from = rdkafka::Offset::Offset(signed(*from));
            list.add_partition_offset(&self.topic, number(*partition), from).map_err(failed)?;
        }
        let consumer = self.consumer()?;
        consumer.incremental_assign(&list).map_err(failed)
    }

    /// Obeys [`GroupEvent::Revoked`]: others may have these from now on, those that were never taken too.
    ///
    /// # Errors
    /// If librdkafka refuses.
    pub fn release(&self, partitions: &[PartitionId]) -> Result<(), LogError> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            list.add_partition(&self.topic, number(*partition));
        }
        let consumer = self.consumer()?;
        let released = consumer.incremental_unassign(&taken(consumer, &list));
        released.map_err(|error| self.log.connect.error("release partitions", &error))?;
        consumer.context().obeyed();
        Ok(())
    }

    /// What writes to a partition of a topic within the open transaction.
    ///
    /// # Errors
    /// If the group was left.
    pub fn output(&self, topic: &str, partition: PartitionId) -> Result<TransactionWriter, LogError> {
        let producer = self.producer.clone().ok_or_else(|| self.closed())?;
        let topic: Arc<str> = self.log.name(topic).into();
        let written = Arc::new(AtomicBool::new(false));
        let mut targets = self.targets();
        // One that left and comes again is another writer's now; everything of it was committed when it left.
        targets.retain(|target| (&target.topic, target.partition) != (&topic, partition));
        targets.push(Target { topic: Arc::clone(&topic), partition, written: Arc::clone(&written) });
        let (log, give_up) = (self.log.clone(), Arc::clone(&self.give_up));
        Ok(TransactionWriter { log, topic, partition, producer, written, give_up })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_of_many_partitions_share_what_there_is() {
        for (partitions, each) in [(0, 16), (1, 16), (4, 16), (8, 8), (64, 1), (1000, 1)] {
            assert_eq!(queue_kbytes(partitions), each << 10, "{partitions}");
        }
    }
}
