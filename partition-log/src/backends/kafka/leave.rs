//! Leaving a group: at once where everything is committed, or by falling silent as a crash would.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer as _;

use super::connect::{let_go_together, number};
use super::group::{GroupEvent, KafkaGroup};
use super::membership::{GroupConsumer, taken};

/// How long leaving may take; then the group waits for the session's end.
const LEAVE: Duration = Duration::from_secs(2);
/// How long a request is given to get out.
const OUT: Duration = Duration::from_millis(300);

impl KafkaGroup {
    /// Leaves the group at once: others have the partitions without waiting for the session's end. What is not committed is lost.
    pub fn leave(&self) {
        let Ok(consumer) = self.consumer() else { return };
        // A static member that only closes does not leave.
        consumer.unsubscribe();
        // What was lost is not asked for again, but counts as assigned until it is let go of.
        if let Some(GroupEvent::Revoked(partitions) | GroupEvent::Lost(partitions)) =
            consumer.context().open()
        {
            let _ = self.release(&partitions);
        }
        let (begun, mut out) = (Instant::now(), None::<Instant>);
        while begun.elapsed() < LEAVE && out.is_none_or(|since| since.elapsed() < OUT) {
            match self.poll(Duration::from_millis(20)) {
                Ok(Some(GroupEvent::Revoked(partitions) | GroupEvent::Lost(partitions))) => {
                    let _ = self.release(&partitions);
                }
                // Nobody takes what comes.
                Ok(Some(GroupEvent::Assigned(_)) | None) => {}
                Err(error) => tracing::debug!(%error, "while leaving the group"),
            }
            let free = consumer.assignment().is_ok_and(|left| left.count() == 0);
            out = out.or(free.then(Instant::now));
        }
    }

    /// Obeys what was not obeyed yet, so that leaving does not wait for it.
    fn obey_all(&self, consumer: &GroupConsumer) {
        let membership = consumer.context();
        membership.closing.store(true, Ordering::Release);
        let open = membership.handed_out.lock().unwrap_or_else(PoisonError::into_inner).take();
        let wanted = std::mem::take(&mut *membership.wanted.lock().unwrap_or_else(PoisonError::into_inner));
        for event in open.into_iter().chain(wanted) {
            let (GroupEvent::Revoked(partitions) | GroupEvent::Lost(partitions)) = event else { continue };
            let mut list = TopicPartitionList::new();
            for partition in partitions {
                list.add_partition(&self.topic, number(partition));
            }
            if let Err(error) = consumer.incremental_unassign(&taken(consumer, &list)) {
                tracing::debug!(%error, "while leaving the group");
            }
        }
    }
}

impl Drop for KafkaGroup {
    fn drop(&mut self) {
        let mut clients: Vec<(&'static str, Box<dyn Send>)> = Vec::new();
        if let Some(consumer) = self.consumer.take() {
            self.obey_all(&consumer);
            clients.push(("group consumer", Box::new(consumer)));
        }
        if let Some(producer) = self.producer.take() {
            clients.push(("transactional producer", Box::new(producer)));
        }
        if let Some(asker) = self.asker.take() {
            clients.push(("reader of ends", Box::new(asker)));
        }
        // At a time: with the brokers away each takes as long as it may, and a process that is to stop has only so much.
        let_go_together(clients);
    }
}
