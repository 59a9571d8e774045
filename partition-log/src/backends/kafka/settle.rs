//! Ending for certain what a transaction left open although the brokers say that it has ended.
//!
//! A transaction ends with a marker in every partition that it wrote to. Brokers can forget markers: one that comes back from a crash
//! takes a partition that has no leader for one that was deleted, and skips it (KAFKA-20734: Kafka 4.4.0, not 4.0.1). What was aborted
//! is then still open in the partition, and the next commit of the same producer shows it to everybody; what was committed is unseen, and
//! the next abort loses it. So before a member writes anything, it looks for open ends in what it writes to, and ends them by a transaction of
//! its own: committed where the note beside the group's offsets says that they reach beyond the open end, aborted otherwise. And while it
//! lives, the next transaction begins only when all of the last one is seen (see `closing`).
//!
//! The end of the offsets can be forgotten while an output's was not. Then that output shows more than the offsets do, which says that all of it
//! was committed: so are the offsets, if nobody else is in the group.
//!
//! Not solved: a second crash while a committed end is written again, or a leader that stays away until that transaction's time is over. The
//! brokers abort it then, and with it what it was to show. And such offsets where others are in the group.

use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer as _;
use types::PartitionId;

use super::KafkaLog;
use super::ask::watermarks;
use super::closing::{SEEN, end_of, touch, until_known};
use super::commit::flush;
use super::connect::{ASK, number, unsigned};
use super::group::{GroupOptions, JOIN, TRY};
use super::membership::GroupConsumer;
use super::transaction::GroupProducer;
use super::verdict::{Found, Step, counts, step, unseen_from};
use crate::{Bounds, LogError, PartitionReader as _, RecordBuf};

/// How long one question may take.
pub(super) const ANSWER: Duration = Duration::from_secs(2);

/// One who reads what is not committed too.
pub(super) type Asker = super::connect::Consumer;

/// An output partition, and where it ended when it was looked at.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) end: i64,
}

impl KafkaLog {
    /// Ends what transactions of this producer left open in the group's outputs and offsets. The producer has none open itself.
    pub(super) fn settle(
        &self,
        producer: &GroupProducer,
        consumer: &GroupConsumer,
        asker: &Asker,
        options: &GroupOptions,
    ) -> Result<(), LogError> {
        let failed = |error: &KafkaError| self.connect.error("end what a transaction left open", error);
        let begun = Instant::now();
        let deadline = begun + JOIN + options.transaction_timeout;
        // What is opened from now on is not this producer's.
        let mut open = self.open_ends(asker, options)?;
        loop {
            let offsets = self.unstable(consumer, asker, options)?;
            let is_open = !open.is_empty() || offsets;
            if is_open && (Instant::now() > deadline || (options.give_up)()) {
                let detail = match open.first() {
                    Some(open) => format!("a transaction in {}-{} stays open", open.topic, open.partition),
                    None => format!("the offsets of group `{}` stay in a transaction", options.group),
                };
                return Err(self.connect.failed(
                    "join the group",
                    format!("{detail}: see `kafka-transactions.sh find-hanging` and `abort`"),
                ));
            }
            // What the offsets in an open transaction say is not known, and so not which outputs count: those are left for the next turn.
            let (counted, others) =
                if offsets { (Vec::new(), Vec::new()) } else { self.counted(asker, &open, options)? };
            let found = Found {
                outputs: !open.is_empty(),
                offsets,
                counted: !counted.is_empty(),
                waited: begun.elapsed(),
                session: options.session_timeout,
            };
            let has_members = || Ok(self.members(asker, options)? > 0);
            // Those that are to be aborted wait until what counts is committed.
            let (commit, touched) = match step(&found, || self.shows_more(asker, options), has_members)? {
                Step::Done => return Ok(()),
                Step::Wait => {
                    std::thread::sleep(Duration::from_millis(50));
                    open = self.left_open(open)?;
                    continue;
                }
                Step::CommitAll => (true, open.clone()),
                Step::CommitCounted => (true, counted),
                Step::Abort { loses } => {
                    if loses {
                        tracing::warn!(
                            "offsets that were committed are not seen, and are lost: other members are at work"
                        );
                    }
                    (false, others)
                }
            };
            tracing::info!(commit, outputs = touched.len(), offsets, "ending what a transaction left open");
            producer.begin_transaction().map_err(|error| failed(&error))?;
            let too_late = || Instant::now() > deadline;
            let touch_offsets = || self.touch_offsets(producer, asker, options);
            let written = if offsets { until_known(producer, &too_late, touch_offsets) } else { Ok(()) }
                .and_then(|()| touch(producer, &touched))
                .and_then(|()| flush(producer, ASK));
            if let Err(error) = &written {
                if commit {
                    return Err(failed(error));
                }
                tracing::debug!(%error, "the transaction is aborted all the same");
            }
            loop {
                let ended =
                    if commit { producer.commit_transaction(TRY) } else { producer.abort_transaction(TRY) };
                match ended {
                    Ok(()) => break,
                    Err(error) if is_retriable(&error) && Instant::now() < deadline => pause(producer),
                    Err(error) => return Err(failed(&error)),
                }
            }
            let seen = Instant::now() + SEEN;
            while Instant::now() < seen && !self.left_open(touched.clone())?.is_empty() {
                std::thread::sleep(Duration::from_millis(20));
            }
            open = self.left_open(open)?;
        }
    }

    /// The output partitions in which a transaction is open.
    fn open_ends(&self, asker: &Asker, options: &GroupOptions) -> Result<Vec<Open>, LogError> {
        let mut open = Vec::new();
        for topic in &options.outputs {
            let topic = self.name(topic);
            for partition in 0..self.partitions(&topic)?.unwrap_or(0) {
                let partition = PartitionId(partition);
                let (_, end) = watermarks(asker, &topic, partition, ASK).map_err(|error| {
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

    /// Those that readers of what is committed still do not see the end of.
    fn left_open(&self, mut open: Vec<Open>) -> Result<Vec<Open>, LogError> {
        let mut failed = Ok(());
        open.retain(|Open { topic, partition, end }| {
            let partition = PartitionId(u32::try_from(*partition).unwrap_or_default());
            match self.ends(topic, partition) {
                Ok(seen) => super::signed(seen.end) < *end,
                Err(error) => {
                    failed = Err(error);
                    true
                }
            }
        });
        failed.map(|()| open)
    }

    /// Whether an offset of the group lies in an open transaction. librdkafka does not say so: it asks again until its time is over. So one
    /// who wants stable offsets gets none, and one who takes any gets them.
    fn unstable(
        &self,
        consumer: &GroupConsumer,
        asker: &Asker,
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

    /// Which of the open ends hold what this member committed, by its notes beside the group's stable offsets; and the others.
    fn counted(
        &self,
        asker: &Asker,
        open: &[Open],
        options: &GroupOptions,
    ) -> Result<(Vec<Open>, Vec<Open>), LogError> {
        let topic = self.name(&options.topic);
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions(&topic)?.unwrap_or(0) {
            list.add_partition(&topic, number(PartitionId(partition)));
        }
        let known = stable(asker, list, ASK)
            .map_err(|error| self.connect.error("ask how far the group is", &error))?;
        let (mut counted, mut others) = (Vec::new(), Vec::new());
        for end in open {
            let noted = known
                .find_partition(&topic, end.partition)
                .and_then(|at| end_of(at.metadata(), &options.member, &end.topic));
            let partition = PartitionId(u32::try_from(end.partition).unwrap_or_default());
            let begin = super::signed(self.ends(&end.topic, partition)?.end);
            if counts(noted, begin) { &mut counted } else { &mut others }.push(end.clone());
        }
        Ok((counted, others))
    }

    /// Whether an output shows what this member wrote in a transaction whose offsets are not seen: records behind where it ended by the
    /// newest offset that is seen, or any records where none is.
    fn shows_more(&self, asker: &Asker, options: &GroupOptions) -> Result<bool, LogError> {
        let topic = self.name(&options.topic);
        let partitions = self.partitions(&topic)?.unwrap_or(0);
        let mut list = TopicPartitionList::new();
        (0..partitions).for_each(|partition| _ = list.add_partition(&topic, number(PartitionId(partition))));
        let known = stable(asker, list, ASK)
            .map_err(|error| self.connect.error("ask how far the group is", &error))?;
        for partition in (0..partitions).map(PartitionId) {
            let Some(at) = known.find_partition(&topic, number(partition)) else { continue };
            let is_known = matches!(at.offset(), rdkafka::Offset::Offset(_));
            for output in options.outputs.iter().map(|output| self.name(output)) {
                let Bounds { start, end } = self.ends(&output, partition)?;
                let noted = end_of(at.metadata(), &options.member, &output);
                let Some(from) = unseen_from(noted, is_known, super::signed(start)).map(unsigned) else {
                    continue;
                };
                let mut found = RecordBuf::default();
                if from < end && self.open_reader(&output, partition, from).read(&mut found, 1)? > 0 {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// How many members the group has. Only an empty one takes offsets from who is none.
    fn members(&self, asker: &Asker, options: &GroupOptions) -> Result<usize, LogError> {
        let found = asker.fetch_group_list(Some(&options.group), ANSWER);
        let found = found.map_err(|error| self.connect.error("ask who is in the group", &error))?;
        Ok(found.groups().first().map_or(0, |group| group.members().len()))
    }

    /// Makes the group's offsets part of the transaction, so that it has to end there too. The offset that is sent for that is of a topic
    /// which the group does not read: if it is committed, it is nobody's place.
    fn touch_offsets(
        &self,
        producer: &GroupProducer,
        asker: &Asker,
        options: &GroupOptions,
    ) -> Result<(), KafkaError> {
        let Some(member) = asker.group_metadata() else { return Ok(()) };
        let mut list = TopicPartitionList::new();
        let Some(unread) = options.outputs.last() else { return Ok(()) };
        list.add_partition_offset(&self.name(unread), 0, rdkafka::Offset::Offset(0))?;
        producer.send_offsets_to_transaction(&list, &member, TRY)
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
