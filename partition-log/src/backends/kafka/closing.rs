//! Seeing to it that a commit has reached every partition.
//!
//! The brokers answer that a transaction is committed before its markers stand in the partitions, and they can forget some of them (see
//! `settle`). Then records stay unseen that count, and if the producer's next transaction in that partition were aborted, they would
//! be lost. So the next one begins only when all ends of this one are seen. An end that does not come is written again, by a transaction
//! that holds the same offsets and, for want of a way to end a partition without writing to it, a record without a value whose key is
//! [`SETTLED_KEY`]; readers here pass over it.
//!
//! Where the outputs of a transaction ended is noted with the group's offsets: a member that joins after a crash knows by that whether what is
//! open was committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::ToBytes;
use rdkafka::producer::{BaseRecord, Producer as _};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use types::PartitionId;

use super::commit::flush;
use super::connect::number;
use super::group::{GroupOffset, KafkaGroup, NotCommitted, TRY};
use super::settle::{ANSWER, Asker, Open, is_retriable, pause, stable};
use super::transaction::GroupProducer;

/// The key of a record without a value that only ends a transaction.
pub(super) const SETTLED_KEY: &str = "$settled";
/// How long a marker may take to be seen before it is written again: usually it takes some milliseconds. Short, because another
/// crash before it is there could cost what it ends; if it comes after all, there are two.
const SOON: Duration = Duration::from_millis(300);
/// The same for one that was written again.
pub(super) const SEEN: Duration = Duration::from_secs(3);
/// How long the brokers may take to show what was committed.
const SETTLED: Duration = Duration::from_secs(30);

/// A partition that is written to, and whether it was in this transaction.
pub(super) struct Target {
    pub(super) topic: Arc<str>,
    pub(super) partition: PartitionId,
    pub(super) written: Arc<AtomicBool>,
}

/// Where the outputs of a partition ended when its offset was committed, and by which member, as it stands in the offset's note behind the
/// user's own.
pub(super) fn with_ends(place: &GroupOffset, member: &str, ends: &[Open]) -> String {
    let mut note = place.note.clone();
    for (i, end) in ends.iter().filter(|end| end.partition == number(place.partition)).enumerate() {
        if i == 0 {
            note.push('\n');
            note.push_str(member);
        }
        note.push_str(&format!(" {}:{}", end.topic, end.end));
    }
    note
}

/// The user's part of a note.
pub(super) fn without_ends(note: &str) -> &str {
    note.split_once('\n').map_or(note, |(own, _)| own)
}

/// Where a topic ended by the note; `None` if nothing was written to it then, or another member wrote it.
pub(super) fn end_of(note: &str, member: &str, topic: &str) -> Option<i64> {
    let (by, ends) = note.split_once('\n')?.1.split_once(' ')?;
    let ends = ends.split(' ').filter_map(|end| end.split_once(':'));
    ends.filter(|(name, _)| by == member && *name == topic).find_map(|(_, end)| end.parse().ok())
}

/// Whether a record is one that only ends a transaction.
pub(super) fn only_settles(key: Option<&[u8]>, value: Option<&[u8]>) -> bool {
    value.is_none() && key == Some(SETTLED_KEY.as_bytes())
}

/// Adds such a record to each, within an open transaction.
pub(super) fn touch(producer: &GroupProducer, open: &[Open]) -> Result<(), KafkaError> {
    for Open { topic, partition, .. } in open {
        let record: BaseRecord<'_, str, Nothing> =
            BaseRecord::to(topic).partition(*partition).key(SETTLED_KEY);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    Ok(())
}

/// Calls until the outcome is known.
pub(super) fn until_known(
    producer: &GroupProducer,
    give_up: &dyn Fn() -> bool,
    mut call: impl FnMut() -> Result<(), KafkaError>,
) -> Result<(), KafkaError> {
    loop {
        match call() {
            Err(error) if is_retriable(&error) && !give_up() => pause(producer),
            other => return other,
        }
    }
}

/// Where these partitions end, as far as the consumer may see: one question for all of them.
fn ends_of<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[(&str, i32)],
) -> Result<Vec<Open>, KafkaError> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        // To the protocol the end is a moment: the latest.
        list.add_partition_offset(topic, *partition, rdkafka::Offset::End)?;
    }
    let found = consumer.offsets_for_times(list, ANSWER)?;
    let end = |element: &TopicPartitionListElem<'_>| {
        element.error()?;
        match element.offset() {
            rdkafka::Offset::Offset(end) => {
                Ok(Open { topic: element.topic().to_owned(), partition: element.partition(), end })
            }
            _ => Err(KafkaError::OffsetFetch(RDKafkaErrorCode::NoOffset)),
        }
    };
    found.elements().iter().map(end).collect()
}

/// The type of a value that is not there.
pub(super) struct Nothing;

impl ToBytes for Nothing {
    fn to_bytes(&self) -> &[u8] {
        &[]
    }
}

impl KafkaGroup {
    /// Where the partitions end that were written to in the open transaction, of which everything has arrived.
    pub(super) fn written_ends(
        &self,
        producer: &GroupProducer,
        give_up: &dyn Fn() -> bool,
    ) -> Result<Vec<Open>, NotCommitted> {
        let aborted = |error: KafkaError| NotCommitted::Aborted(error.to_string());
        let targets = self.targets();
        let written = targets.iter().filter(|target| target.written.swap(false, Ordering::AcqRel));
        let written: Vec<_> = written.map(|target| (&*target.topic, number(target.partition))).collect();
        let since = Instant::now();
        loop {
            match ends_of(self.asker()?, &written) {
                Ok(ends) => return Ok(ends),
                Err(error) if give_up() || since.elapsed() > SETTLED => return Err(aborted(error)),
                Err(error) => {
                    tracing::debug!(%error, "asking where the outputs end");
                    pause(producer);
                }
            }
        }
    }

    /// Waits until what was committed can be seen everywhere: the group's offsets, and the outputs up to their ends.
    pub(super) fn settled(
        &self,
        producer: &GroupProducer,
        committed: &TopicPartitionList,
        ends: &[Open],
        give_up: &dyn Fn() -> bool,
    ) -> Result<(), NotCommitted> {
        let since = Instant::now();
        let (mut asked, mut patience) = (since, SOON);
        loop {
            let offsets = self.offsets_are(committed)?;
            let open = self.still_open(ends);
            let why = match (&offsets, &open) {
                (Ok(()), Ok(open)) if open.is_empty() => return Ok(()),
                (Err(why), _) => why.clone(),
                (_, Err(error)) => error.to_string(),
                (_, Ok(_)) => "an output does not show what was committed".to_owned(),
            };
            if give_up() || since.elapsed() > SETTLED {
                return Err(NotCommitted::Unknown(why));
            }
            // Only what the brokers say is open is ended again, not what they do not answer about: a transaction that fails half way would
            // abort what it was to show.
            let again = match open {
                Ok(open) if asked.elapsed() > patience => match &offsets {
                    Ok(()) => Some((open, None)),
                    Err(_) => self.known(committed).then_some((open, Some(committed))),
                },
                _ => None,
            };
            match again {
                Some((open, offsets)) => {
                    tracing::warn!(
                        outputs = open.len(),
                        why,
                        "the end of a committed transaction is missing: it is written again"
                    );
                    self.commit_again(producer, offsets, &open, give_up)?;
                    (asked, patience) = (Instant::now(), SEEN);
                }
                None => {
                    tracing::debug!(why, "asking whether the commit is done");
                    std::thread::sleep(Duration::from_millis(if since.elapsed() < SOON { 2 } else { 50 }));
                }
            }
        }
    }

    /// Whether the group's stable offsets are these; else why that is not known yet.
    fn offsets_are(&self, committed: &TopicPartitionList) -> Result<Result<(), String>, NotCommitted> {
        let mut asked = TopicPartitionList::with_capacity(committed.count());
        for element in committed.elements() {
            asked.add_partition(element.topic(), element.partition());
        }
        let Some(consumer) = &self.consumer else { return Ok(Err("the group was left".to_owned())) };
        match stable(&**consumer, asked, ANSWER) {
            Err(error) => Ok(Err(error.to_string())),
            Ok(found) => {
                let same =
                    found.elements().iter().zip(committed.elements()).all(|(f, c)| f.offset() == c.offset());
                if same {
                    Ok(Ok(()))
                } else {
                    Err(NotCommitted::Unknown("the group has other offsets".to_owned()))
                }
            }
        }
    }

    /// Whether the group's offsets can be asked for at all, be they in an open transaction or not.
    fn known(&self, of: &TopicPartitionList) -> bool {
        let mut asked = TopicPartitionList::with_capacity(of.count());
        for element in of.elements() {
            asked.add_partition(element.topic(), element.partition());
        }
        self.asker.as_ref().is_some_and(|asker| stable(asker, asked, ANSWER).is_ok())
    }

    /// Those of the ends that readers of what is committed do not see yet.
    fn still_open(&self, ends: &[Open]) -> Result<Vec<Open>, KafkaError> {
        let asked: Vec<_> = ends.iter().map(|end| (end.topic.as_str(), end.partition)).collect();
        let seen = ends_of(&**self.log.asker, &asked)?;
        let is_seen = |end: &&Open| {
            let found = seen.iter().find(|s| (&s.topic, s.partition) == (&end.topic, end.partition));
            found.is_some_and(|seen| seen.end >= end.end)
        };
        Ok(ends.iter().filter(|end| !is_seen(end)).cloned().collect())
    }

    /// A transaction whose commit ends what the last one left open: what stands there belongs to it then, of whichever transaction it was. The
    /// offsets come first: as long as no output is part of it, it may be aborted, and is tried again.
    fn commit_again(
        &self,
        producer: &GroupProducer,
        offsets: Option<&TopicPartitionList>,
        open: &[Open],
        give_up: &dyn Fn() -> bool,
    ) -> Result<(), NotCommitted> {
        let unknown = |error: KafkaError| NotCommitted::Unknown(error.to_string());
        producer.begin_transaction().map_err(unknown)?;
        if let Some(offsets) = offsets {
            let sent = until_known(producer, give_up, || {
                let member = self.membership().map_err(|why| KafkaError::ClientCreation(why.to_owned()))?;
                producer.send_offsets_to_transaction(offsets, &member, TRY)
            });
            if let Err(error) = sent {
                tracing::debug!(%error, "the offsets were not taken; trying again");
                return until_known(producer, give_up, || producer.abort_transaction(TRY)).map_err(unknown);
            }
        }
        if give_up() {
            return Err(NotCommitted::Unknown("the process is to stop".to_owned()));
        }
        // From here on an abort would lose what is to be shown: only the time that the brokers give ends the tries.
        let since = Instant::now();
        let too_late = || since.elapsed() > SETTLED;
        touch(producer, open).map_err(unknown)?;
        until_known(producer, &too_late, || flush(producer, TRY)).map_err(unknown)?;
        until_known(producer, &too_late, || producer.commit_transaction(TRY)).map_err(unknown)
    }

    fn asker(&self) -> Result<&Asker, NotCommitted> {
        self.asker.as_ref().ok_or_else(|| NotCommitted::Aborted("the group was left".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use types::Offset;

    use super::*;

    #[test]
    fn a_note_keeps_where_the_outputs_of_its_partition_ended() {
        let end = |topic: &str, partition, end| Open { topic: topic.to_owned(), partition, end };
        let ends = [end("shop.scores", 1, 7), end("shop.scores", 2, 90), end("shop.dead-letters", 1, 3)];
        let place = GroupOffset { partition: PartitionId(1), next: Offset(5), note: "v1 tick=3".to_owned() };
        let note = with_ends(&place, "member-1", &ends);
        assert_eq!(without_ends(&note), "v1 tick=3");
        assert_eq!(end_of(&note, "member-1", "shop.scores"), Some(7));
        assert_eq!(end_of(&note, "member-1", "shop.dead-letters"), Some(3));
        assert_eq!(end_of(&note, "member-1", "scores"), None);
        assert_eq!(end_of(&note, "member-2", "shop.scores"), None, "another's open end is not this one");
        let untouched = with_ends(&GroupOffset { partition: PartitionId(3), ..place }, "member-1", &ends);
        assert_eq!((untouched.as_str(), end_of(&untouched, "member-1", "shop.scores")), ("v1 tick=3", None));
    }

    #[test]
    fn only_a_record_without_a_value_is_passed_over() {
        assert!(only_settles(Some(b"$settled"), None));
        assert!(!only_settles(Some(b"$settled"), Some(b"")));
        assert!(!only_settles(Some(b"u1"), None));
        assert!(!only_settles(None, None));
    }
}
