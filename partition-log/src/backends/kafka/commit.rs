//! Committing what the partitions of a member have done, in one transaction.

use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{Consumer as _, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer as _;

use super::closing::{until_known, with_ends};
use super::connect::{number, signed};
use super::group::{GroupOffset, KafkaGroup, NotCommitted, TRY};
use super::settle::{is_retriable, pause};
use super::transaction::GroupProducer;

/// Waits until all records have arrived. rdkafka's own flush waits in steps of 100 ms where no report of a delivery comes.
pub(super) fn flush(producer: &GroupProducer, within: Duration) -> Result<(), KafkaError> {
    let deadline = Instant::now() + within;
    loop {
        match producer.flush(Duration::ZERO) {
            Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut)) if Instant::now() < deadline => {
                // Takes what is reported of failures: until then those records count as on their way.
                producer.poll(Duration::ZERO);
                std::thread::sleep(Duration::from_millis(1));
            }
            flushed => return flushed,
        }
    }
}

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
        until_known(producer, give_up, || flush(producer, TRY)).map_err(|error| aborted(&error))?;
        let flushed = lap();
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
        tracing::debug!(partitions = places.len(), outputs = ends.len(), flush = ?flushed, ?ask_ends, ?send_offsets, ?commit,
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
