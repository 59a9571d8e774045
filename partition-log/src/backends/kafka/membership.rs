//! What the group wants of a member.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};
use types::PartitionId;

use super::connect::say;
use super::group::GroupEvent;

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

    pub(super) fn obeyed(&self) {
        self.handed_out.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
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
        let event = match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => GroupEvent::Assigned(partitions),
            _ if consumer.assignment_lost() => GroupEvent::Lost(partitions),
            _ => GroupEvent::Revoked(partitions),
        };
        if self.closing.load(Ordering::Acquire) {
            let obeyed = match kind {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => consumer.incremental_assign(list),
                _ => consumer.incremental_unassign(list),
            };
            if let Err(error) = obeyed {
                tracing::debug!(%error, "while leaving the group");
            }
            return;
        }
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
    }
}
