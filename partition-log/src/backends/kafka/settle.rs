//! Ending for certain what a transaction left open although the brokers say that it has ended.
//!
//! A transaction ends with a marker in every partition that it wrote to. Brokers can forget markers: one that comes back from a crash
//! takes a partition that has no leader for one that was deleted, and skips it (KAFKA-20734: Kafka 4.4.0, not 4.0.1). What was aborted
//! is then still open in the partition, and the next commit of the same producer shows it to everybody. So before a member writes anything, it looks
//! for open ends in what it writes to, and ends them by a transaction of its own that it aborts: its marker ends them all. And a
//! commit counts only when the group's stable offsets have it.
//!
//! Not solved: where the brokers committed the group's offsets and forgot the marker of an output, what is aborted here is lost.

use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer as _};
use types::PartitionId;

use super::KafkaLog;
use super::connect::{ASK, number};
use super::group::{GroupOptions, JOIN, NotCommitted, TRY};
use super::membership::GroupConsumer;
use super::transaction::GroupProducer;
use crate::LogError;

/// How long a marker may take to be seen before it is written again.
const SEEN: Duration = Duration::from_secs(3);

/// How long the brokers may take to say that the group's offsets are what was committed.
const SETTLED: Duration = Duration::from_secs(30);
/// How long one such question may take.
const ANSWER: Duration = Duration::from_secs(2);

/// An output partition with a transaction open in it, and where it ended then.
#[derive(Debug, Clone)]
struct Open {
    topic: String,
    partition: i32,
    end: i64,
}

impl KafkaLog {
    /// Ends what transactions of this producer left open in the group's outputs and offsets. The producer has none open itself.
    pub(super) fn settle(
        &self,
        producer: &GroupProducer,
        consumer: &GroupConsumer,
        options: &GroupOptions,
    ) -> Result<(), LogError> {
        let failed = |error: &KafkaError| self.connect.error("end what a transaction left open", error);
        let asker: BaseConsumer = self
            .connect
            .consumer_config(&options.group, 64)
            .set("isolation.level", "read_uncommitted")
            .create()
            .map_err(|error| failed(&error))?;
        let deadline = Instant::now() + JOIN + options.transaction_timeout;
        loop {
            let open = self.open_ends(&asker, options)?;
            let offsets = self.unstable(consumer, &asker, options)?;
            if open.is_empty() && !offsets {
                return Ok(());
            }
            if Instant::now() > deadline {
                let detail = match open.first() {
                    Some(open) => format!("a transaction in {}-{} stays open", open.topic, open.partition),
                    None => format!("the offsets of group `{}` stay in a transaction", options.group),
                };
                return Err(self.connect.failed(
                    "join the group",
                    format!("{detail}: see `kafka-transactions.sh find-hanging` and `abort`"),
                ));
            }
            tracing::info!(outputs = open.len(), offsets, "ending what a transaction left open");
            producer.begin_transaction().map_err(|error| failed(&error))?;
            let written = self.touch(producer, &asker, &open, offsets, options);
            if let Err(error) = &written {
                tracing::debug!(%error, "the transaction is aborted all the same");
            }
            loop {
                match producer.abort_transaction(TRY) {
                    Ok(()) => break,
                    Err(error) if is_retriable(&error) && Instant::now() < deadline => pause(producer),
                    Err(error) => return Err(failed(&error)),
                }
            }
            let seen = Instant::now() + SEEN;
            while Instant::now() < seen && !self.passed(&open)? {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// The output partitions in which a transaction is open.
    fn open_ends(&self, asker: &BaseConsumer, options: &GroupOptions) -> Result<Vec<Open>, LogError> {
        let mut open = Vec::new();
        for topic in &options.outputs {
            let topic = self.name(topic);
            for partition in 0..self.partitions(&topic)?.unwrap_or(0) {
                let partition = PartitionId(partition);
                let (_, end) = asker.fetch_watermarks(&topic, number(partition), ASK).map_err(|error| {
                    self.connect.error(format!("ask for the ends of {topic}-{partition}"), &error)
                })?;
                // The stable end is asked for second: it only grows.
                if super::signed(self.ends(&topic, partition)?.end) < end {
                    open.push(Open { topic: topic.clone(), partition: number(partition), end });
                }
            }
        }
        Ok(open)
    }

    fn passed(&self, open: &[Open]) -> Result<bool, LogError> {
        for Open { topic, partition, end } in open {
            let partition = PartitionId(u32::try_from(*partition).unwrap_or_default());
            if super::signed(self.ends(topic, partition)?.end) < *end {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether an offset of the group lies in an open transaction. librdkafka does not say so: it asks again until its time is over. So one
    /// who wants stable offsets gets none, and one who takes any gets them.
    fn unstable(
        &self,
        consumer: &GroupConsumer,
        asker: &BaseConsumer,
        options: &GroupOptions,
    ) -> Result<bool, LogError> {
        let topic = self.name(&options.topic);
        let deadline = Instant::now() + JOIN;
        loop {
            let mut list = TopicPartitionList::new();
            for partition in 0..self.partitions(&topic)?.unwrap_or(0) {
                list.add_partition(&topic, number(PartitionId(partition)));
            }
            if stable(consumer, list.clone(), ANSWER).is_ok() {
                return Ok(false);
            }
            match stable(asker, list, ANSWER) {
                Ok(_) => return Ok(true),
                Err(error) if Instant::now() > deadline => {
                    return Err(self.connect.error("ask how far the group is", &error));
                }
                Err(error) => {
                    tracing::debug!(%error, "asking how far the group is");
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    /// Writes a record to each, so that the transaction has to end there.
    fn touch(
        &self,
        producer: &GroupProducer,
        asker: &BaseConsumer,
        open: &[Open],
        offsets: bool,
        options: &GroupOptions,
    ) -> Result<(), KafkaError> {
        for Open { topic, partition, .. } in open {
            let record = BaseRecord::to(topic).partition(*partition).key("").payload("");
            producer.send(record).map_err(|(error, _)| error)?;
        }
        producer.flush(ASK)?;
        if offsets && let Some(member) = asker.group_metadata() {
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&self.name(&options.topic), 0, rdkafka::Offset::Offset(0))?;
            producer.send_offsets_to_transaction(&list, &member, TRY)?;
        }
        Ok(())
    }
}

/// The group's offsets; to one who reads what is committed, none of them in an open transaction.
pub(super) fn stable<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    list: TopicPartitionList,
    within: Duration,
) -> Result<TopicPartitionList, KafkaError> {
    let list = consumer.committed_offsets(list, within)?;
    list.elements().iter().try_for_each(|element| element.error())?;
    Ok(list)
}

/// Waits until the group's stable offsets are those that were committed.
pub(super) fn settled(
    consumer: &GroupConsumer,
    committed: &TopicPartitionList,
    give_up: &dyn Fn() -> bool,
) -> Result<(), NotCommitted> {
    let since = Instant::now();
    loop {
        let mut asked = TopicPartitionList::with_capacity(committed.count());
        for element in committed.elements() {
            asked.add_partition(element.topic(), element.partition());
        }
        match stable(consumer, asked, ANSWER) {
            Ok(found)
                if found
                    .elements()
                    .iter()
                    .zip(committed.elements())
                    .all(|(f, c)| f.offset() == c.offset()) =>
            {
                return Ok(());
            }
            Ok(_) => return Err(NotCommitted::Unknown("the group has other offsets".to_owned())),
            Err(error) if give_up() || since.elapsed() > SETTLED => {
                return Err(NotCommitted::Unknown(error.to_string()));
            }
            Err(error) => {
                tracing::debug!(%error, "asking whether the commit is done");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

pub(super) fn is_retriable(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => {
            error.is_retriable() && !error.txn_requires_abort() && !error.is_fatal()
        }
        // Waiting for the records themselves to arrive.
        KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut) => true,
        _ => false,
    }
}

pub(super) fn pause(producer: &GroupProducer) {
    producer.poll(Duration::from_millis(50));
}
