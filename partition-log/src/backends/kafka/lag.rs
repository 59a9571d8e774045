//! How far a group is, seen from outside: by who is no member of it.

use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use types::{Offset, PartitionId};

use super::KafkaLog;
use super::connect::{Consumer, Held, number, unsigned};
use super::settle::stable;
use crate::{Bounds, Log as _, LogError};

/// One partition: what there is to read, and how far the group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupLag {
    /// The partition.
    pub partition: PartitionId,
    /// What of it can be read; open transactions end it.
    pub bounds: Bounds,
    /// The next offset that the group has committed; `None` if it has committed none yet.
    pub committed: Option<Offset>,
}

/// Looks at a group without being in it.
pub struct GroupView {
    log: KafkaLog,
    group: String,
    /// As the brokers call it.
    topic: String,
    consumer: Held<Consumer>,
}

impl KafkaLog {
    /// The group that the consumers of a topic form, unless they are told otherwise.
    #[must_use]
    pub fn usual_group(&self, topic: &str) -> String {
        format!("churnstream-{}", self.name(topic))
    }

    /// A view of a group that reads a topic. Asks nothing yet.
    ///
    /// # Errors
    /// If there is something wrong with the settings.
    pub fn view_group(&self, topic: &str, group: &str) -> Result<GroupView, LogError> {
        // An offset in an open transaction is no reason to wait: the one before it counts until then.
        let consumer = self
            .connect
            .consumer_config(group, 64)
            .set("isolation.level", "read_uncommitted")
            .create_with_context(self.connect.context())
            .map_err(|error| self.connect.error("connect", &error))?;
        Ok(GroupView {
            log: self.clone(),
            group: group.to_owned(),
            topic: self.name(topic),
            consumer: Held::new("view of a group", consumer),
        })
    }
}

impl GroupView {
    /// Every partition of the topic, in order. Takes no longer than `within` and a few seconds.
    ///
    /// # Errors
    /// If there is no such topic, or the brokers do not say all of it in time.
    pub fn look(&self, within: Duration) -> Result<Vec<GroupLag>, LogError> {
        let deadline = Instant::now() + within;
        // It is assigned nothing: what comes are complaints, which would pile up.
        for _ in 0..16 {
            let _ = self.consumer.poll(Duration::ZERO);
        }
        let left = || deadline.saturating_duration_since(Instant::now());
        let Some(partitions) = self.log.partitions_within(&self.topic, within)? else {
            return Err(LogError::NoSuchTopic { topic: self.topic.clone(), place: self.log.place() });
        };
        // Asked for first: what is committed meanwhile lies before the ends, and no lag is negative.
        let committed =
            committed(&self.consumer, &self.topic, partitions, left()).map_err(|error| self.asked(&error))?;
        let lag = |(partition, committed)| {
            let bounds = self.log.ends_within(&self.topic, partition, left())?;
            Ok(GroupLag { partition, bounds, committed })
        };
        (0..partitions).map(PartitionId).zip(committed).map(lag).collect()
    }

    /// How many members the group has now; none if there is no such group.
    ///
    /// # Errors
    /// If the brokers do not say it in time.
    pub fn members(&self, within: Duration) -> Result<u32, LogError> {
        let list =
            self.consumer.fetch_group_list(Some(&self.group), within).map_err(|error| self.asked(&error))?;
        let members = list.groups().first().map_or(0, |group| group.members().len());
        Ok(u32::try_from(members).unwrap_or(u32::MAX))
    }

    fn asked(&self, error: &KafkaError) -> LogError {
        self.log.asked(format!("ask how far group `{}` is", self.group), error)
    }
}

/// What the group has committed of each partition of a topic, as far as the consumer, whose group it is, sees it.
pub(super) fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partitions: u32,
    within: Duration,
) -> Result<Vec<Option<Offset>>, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(partitions as usize);
    for partition in (0..partitions).map(PartitionId) {
        list.add_partition(topic, number(partition));
    }
    let list = stable(consumer, list, within)?;
    let next = |partition| match list.find_partition(topic, number(partition))?.offset() {
        rdkafka::Offset::Offset(next) => Some(unsigned(next)),
        _ => None,
    };
    Ok((0..partitions).map(PartitionId).map(next).collect())
}
