//! Committing what the partitions of a member have done, in one transaction.

use std::time::Instant;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{Consumer as _, ConsumerGroupMetadata};
use rdkafka::producer::Producer as _;

use super::closing::{until_known, with_ends};
use super::connect::{number, signed};
use super::group::{GroupOffset, KafkaGroup, NotCommitted, TRY};
use super::settle::{is_retriable, pause};

impl KafkaGroup {
    /// Commits everything that was written since the last commit, together with how far each partition is done, and begins the next
    /// transaction. Tries again while the brokers are away, until they say what became of it or `give_up` says so.
    ///
    /// # Errors
    /// [`NotCommitted`]; the group must be joined again then.
    pub fn commit(&self, places: &[GroupOffset], give_up: &dyn Fn() -> bool) -> Result<(), NotCommitted> {
        let aborted = |error: &dyn std::fmt::Display| NotCommitted::Aborted(error.to_string());
        let Some(producer) = &self.producer else { return Err(aborted(&"the group was left")) };
        let mut last = Instant::now();
        let mut lap = || std::mem::replace(&mut last, Instant::now()).elapsed();
        until_known(producer, give_up, || producer.flush(TRY)).map_err(|error| aborted(&error))?;
        let flush = lap();
        let ends = self.written_ends(producer, give_up)?;
        let ask_ends = lap();
        let mut list = TopicPartitionList::with_capacity(places.len());
        for place in places {
            let mut element = list.add_partition(&self.topic, number(place.partition));
            element
                .set_offset(rdkafka::Offset::Offset(signed(place.next)))
                .map_err(|error| aborted(&error))?;
            element.set_metadata(with_ends(place, &self.member, &ends));
        }
        loop {
            // Asked anew each time: it names the generation, and only that of now is accepted.
            let member = self.membership().map_err(|why| aborted(&why))?;
            match producer.send_offsets_to_transaction(&list, &member, TRY) {
                Ok(()) => break,
                Err(error) if is_retriable(&error) && !give_up() => pause(producer),
                Err(error) => return Err(aborted(&error)),
            }
        }
        let send_offsets = lap();
        loop {
            match producer.commit_transaction(TRY) {
                Ok(()) => break,
                Err(error) if is_retriable(&error) => {
                    if give_up() {
                        return Err(NotCommitted::Unknown(error.to_string()));
                    }
                    tracing::warn!(%error, "the commit is not confirmed yet; asking again");
                    pause(producer);
                }
                Err(error) => return Err(aborted(&error)),
            }
        }
        let commit = lap();
        self.settled(producer, &list, &ends, give_up)?;
        tracing::debug!(partitions = places.len(), outputs = ends.len(), ?flush, ?ask_ends, ?send_offsets, ?commit,
            settled = ?lap(), "committed");
        producer.begin_transaction().map_err(|error| aborted(&error))
    }

    /// What offsets are sent with: an empty group takes them from anybody who names no generation, so whoever lost its place sends none. That
    /// is asked last, since the place can be lost at any moment.
    pub(super) fn membership(&self) -> Result<ConsumerGroupMetadata, &'static str> {
        let consumer = self.consumer.as_ref().ok_or("the group was left")?;
        let member = consumer.group_metadata().ok_or("this process is no member")?;
        if consumer.assignment_lost() { Err("the group went on without this process") } else { Ok(member) }
    }
}
