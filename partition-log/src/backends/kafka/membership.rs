//! What the group wants of a member.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};
use types::PartitionId;

use super::group::GroupEvent;
use super::said::say;

pub(super) type GroupConsumer = BaseConsumer<Membership>;

/// Notes what the group wants, to be obeyed by whoever polls, in its own time.
#[derive(Default)]
pub(super) struct Membership {
    pub(super) wanted: Mutex<std::collections::VecDeque<GroupEvent>>,
    /// What was handed out and not obeyed yet.
    pub(super) handed_out: Mutex<Option<GroupEvent>>,
    /// While closing, librdkafka waits for each wish to be obeyed, and nobody else does it.
    pub(super) closing: AtomicBool,
}

impl Membership {
    pub(super) fn next(&self) -> Option<GroupEvent> {
        let event = self.wanted.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        if event.is_some() {
            self.handed_out.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&event);
        }
        event
    }

    /// What was handed out and not obeyed yet.
    pub(super) fn open(&self) -> Option<GroupEvent> {
        self.handed_out.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn obeyed(&self) {
        self.handed_out.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Those of some partitions that were taken: librdkafka refuses to let go of any other.
pub(super) fn taken(consumer: &GroupConsumer, of: &TopicPartitionList) -> TopicPartitionList {
    let taken = consumer.assignment().unwrap_or_default();
    let mut both = TopicPartitionList::with_capacity(of.count());
    for element in of.elements() {
        if taken.find_partition(element.topic(), element.partition()).is_some() {
            both.add_partition(element.topic(), element.partition());
        }
    }
    both
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        say(level, facility, message);
    }
}

impl ConsumerContext for Membership {
    fn rebalance(&self, consumer: &GroupConsumer, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<_> = list
            .elements()
            .iter()
            .filter_map(|e| u32::try_from(e.partition()).ok())
            .map(PartitionId)
            .collect();
        let closing = self.closing.load(Ordering::Acquire);
        let (event, obeyed) = match kind {
            // librdkafka fetches nothing at all until this is answered, and what comes may have to wait for long. So it is agreed to at
            // once, and taken later: everything else is read on.
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                (GroupEvent::Assigned(partitions), consumer.incremental_assign(&TopicPartitionList::new()))
            }
            _ if closing => {
                (GroupEvent::Revoked(partitions), consumer.incremental_unassign(&taken(consumer, list)))
            }
            _ if consumer.assignment_lost() => (GroupEvent::Lost(partitions), Ok(())),
            _ => (GroupEvent::Revoked(partitions), Ok(())),
        };
        if let Err(error) = obeyed {
            tracing::debug!(%error, ?event, "what the group wants");
        }
        if closing {
            return;
        }
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
    }
}
