//! Reading one partition by a consumer of its own, without a group.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message as _, TopicPartitionList};
use types::{EventTime, Offset, PartitionId};

use super::KafkaLog;
use super::closing::only_settles;
use super::connect::{ASK, Consumer, let_go, number, one, unsigned};
use super::headers::headers;
use crate::record::own_time;
use crate::{LogError, PartitionReader, RecordBuf};

/// What librdkafka fetches ahead.
const QUEUE_KBYTES: u32 = 8 << 10;

/// A reader. It fetches nothing before it is first read from.
pub(super) struct Reader {
    pub(super) log: KafkaLog,
    pub(super) topic: Arc<str>,
    pub(super) partition: PartitionId,
    pub(super) next: Offset,
    pub(super) consumer: Option<Consumer>,
    /// How long a read may wait, if less than it does by itself.
    pub(super) patience: Option<Duration>,
}

impl Reader {
    fn consumer(&mut self) -> Result<&Consumer, LogError> {
        let connect = &self.log.connect;
        let failed =
            |error: KafkaError| connect.error(format!("read {}-{}", self.topic, self.partition), &error);
        let consumer = match self.consumer.take() {
            Some(consumer) => consumer,
            None => {
                let config = connect.consumer_config("churnstream-reader", QUEUE_KBYTES);
                let consumer: Consumer = config.create_with_context(connect.context()).map_err(failed)?;
                consumer
                    .assign(&one(&self.topic, self.partition, self.next).map_err(failed)?)
                    .map_err(failed)?;
                consumer
            }
        };
        Ok(self.consumer.insert(consumer))
    }

    /// Fetches from there on.
    fn go_to(&self, to: Offset) -> Result<(), LogError> {
        let Some(consumer) = &self.consumer else { return Ok(()) };
        let list = one(&self.topic, self.partition, to);
        let sought = list.and_then(|list| consumer.assign(&list));
        let action = format!("seek {}-{}", self.topic, self.partition);
        sought.map_err(|error| self.log.connect.error(action, &error))
    }

    /// Takes one message that is there within the time.
    fn take(&mut self, into: &mut RecordBuf, wait: Duration) -> Result<bool, LogError> {
        let next = self.next;
        let (topic, partition) = (Arc::clone(&self.topic), self.partition);
        let found = match self.consumer()?.poll(wait) {
            Some(Ok(message)) => push(into, &message, next).map(Ok),
            Some(Err(error)) => Some(Err(error)),
            None => None,
        };
        match found {
            Some(Ok(next)) => {
                self.next = next;
                Ok(true)
            }
            Some(Err(error)) => match judge(&error) {
                Trouble::Passing => Ok(false),
                // It may be about a place that was left by a seek since, or of a moment: a leader that has just removed old records
                // can refuse what it still has. librdkafka does not ask again by itself.
                Trouble::Gone => {
                    self.log.check_range(&topic, partition, next)?;
                    self.go_to(next)?;
                    Ok(false)
                }
                Trouble::Real => {
                    Err(self.log.connect.error(format!("read {topic}-{partition} at {next}"), &error))
                }
            },
            None => Ok(false),
        }
    }
}

/// What an error from a consumer means for a reader.
pub(super) enum Trouble {
    /// librdkafka goes on by itself: a broker is away, or has another leader.
    Passing,
    /// The offset is not there any more.
    Gone,
    /// Nothing helps.
    Real,
}

pub(super) fn judge(error: &KafkaError) -> Trouble {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => Trouble::Gone,
        Some(
            RDKafkaErrorCode::BadMessage
            | RDKafkaErrorCode::InvalidMessage
            // librdkafka fetches the same again, for ever; or, where it does not know the form of a batch, goes on behind it.
            | RDKafkaErrorCode::BadCompression
            | RDKafkaErrorCode::UnsupportedCompressionType
            | RDKafkaErrorCode::NotImplemented
            | RDKafkaErrorCode::UnsupportedVersion
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::Fatal,
        ) => Trouble::Real,
        // MessageSizeTooLarge too: batches that compaction has emptied look like that, and librdkafka goes on behind them.
        _ => Trouble::Passing,
    }
}

/// Errors that are to pass, and for how long they have not.
#[derive(Debug, Default)]
pub(super) struct Passing {
    /// When they began, when the last one came, and when that was said.
    seen: Option<(Instant, Instant, Instant)>,
}

impl Passing {
    /// Errors that lie further apart have nothing to do with each other.
    const APART: Duration = Duration::from_secs(10);
    /// How long they may take to pass before that is said, again and again.
    const LONG: Duration = Duration::from_secs(30);

    /// Another one came. Returns for how long they have been coming, where it is time to say so.
    pub(super) fn another(&mut self, now: Instant) -> Option<Duration> {
        let known = self.seen.filter(|(_, last, _)| now - *last < Self::APART);
        let (began, _, told) = known.unwrap_or((now, now, now));
        let is_due = now - told >= Self::LONG;
        self.seen = Some((began, now, if is_due { now } else { told }));
        is_due.then(|| now - began)
    }

    /// A record came.
    pub(super) fn over(&mut self) {
        self.seen = None;
    }
}

/// Adds a message at or behind `next` to a block of records, unless it only ends a transaction. Returns the offset behind it.
pub(super) fn push(into: &mut RecordBuf, message: &BorrowedMessage<'_>, next: Offset) -> Option<Offset> {
    let offset = unsigned(message.offset());
    if offset < next {
        return None;
    }
    if only_settles(message.key(), message.payload()) {
        return Some(offset.next());
    }
    let mut headers = headers(message).peekable();
    let written = EventTime(message.timestamp().to_millis().unwrap_or(-1));
    let own = headers.peek().copied().and_then(|header| own_time(header, written));
    let headers = headers.skip(usize::from(own.is_some()));
    into.push_parts(
        offset,
        own.unwrap_or(written),
        message.key().unwrap_or_default(),
        message.payload().unwrap_or_default(),
        headers,
    );
    Some(offset.next())
}

impl PartitionReader for Reader {
    fn read(&mut self, into: &mut RecordBuf, max_bytes: usize) -> Result<usize, LogError> {
        let before = (into.len(), into.bytes());
        let mut wait = Duration::ZERO;
        let mut deadline = None;
        let within = self.patience.unwrap_or(ASK);
        loop {
            while into.bytes() - before.1 < max_bytes || into.len() == before.0 {
                if !self.take(into, wait)? {
                    break;
                }
                wait = Duration::ZERO;
            }
            if into.len() > before.0 {
                return Ok(into.len() - before.0);
            }
            // Nothing is there: either the end is reached, or it is on its way. Control records are passed over silently, and only
            // the consumer's own position tells.
            let (topic, partition) = (Arc::clone(&self.topic), self.partition);
            if let Some(position) = position(self.consumer()?, &topic, partition) {
                self.next = self.next.max(position);
            }
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + within);
            let bounds = match self.log.ends_within(&topic, partition, within) {
                Err(error) if self.patience.is_some() => return Err(LogError::NotNow(error.to_string())),
                bounds => bounds?,
            };
            if self.next >= bounds.end {
                return Ok(0);
            }
            if self.next < bounds.start {
                return Err(self.log.out_of_range(&self.topic, self.partition, self.next)?);
            }
            if Instant::now() >= deadline {
                let detail = format!("nothing came in {within:?}, and the partition ends at {}", bounds.end);
                let action = format!("read {topic}-{partition} at {}", self.next);
                let error = self.log.connect.failed(action, detail);
                return Err(if self.patience.is_some() {
                    LogError::NotNow(error.to_string())
                } else {
                    error
                });
            }
            wait = Duration::from_millis(100);
        }
    }

    fn position(&self) -> Offset {
        self.next
    }

    fn seek(&mut self, to: Offset) -> Result<(), LogError> {
        self.log.check_range(&self.topic, self.partition, to)?;
        self.go_to(to)?;
        self.next = to;
        Ok(())
    }

    fn set_patience(&mut self, patience: Duration) {
        self.patience = Some(patience);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            let_go("reader", consumer);
        }
    }
}

/// Where a consumer stands: behind the last record or control record that it took.
pub(super) fn position<C: rdkafka::consumer::ConsumerContext>(
    consumer: &rdkafka::consumer::BaseConsumer<C>,
    topic: &str,
    partition: PartitionId,
) -> Option<Offset> {
    let positions: TopicPartitionList = consumer.position().ok()?;
    match positions.find_partition(topic, number(partition))?.offset() {
        rdkafka::Offset::Offset(offset) => Some(unsigned(offset)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_do_not_pass_are_said_aloud_twice_a_minute() {
        let (mut passing, begin) = (Passing::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        let told: Vec<u64> = (0..=70).filter(|second| passing.another(at(*second)).is_some()).collect();
        assert_eq!(told, [30, 60]);
        assert_eq!(passing.another(at(95)), None, "another matter");
        passing.over();
        assert_eq!((96..=125).find_map(|second| passing.another(at(second))), None, "29 s");
        assert_eq!(passing.another(at(126)), Some(Duration::from_secs(30)));
    }
}
