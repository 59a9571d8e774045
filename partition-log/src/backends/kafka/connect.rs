//! Connections to the brokers: what all clients are set up with, and how each is let go of.
//!
//! Two rules hold for every call that leaves this process: it has a time limit, and nothing waits for a client to close. librdkafka
//! can hang while it closes (librdkafka issue 5511, rust-rdkafka issue 453), so clients are closed on a thread of their own.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use rdkafka::admin::AdminClient;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, TopicPartitionList};
use types::{Offset, PartitionId};

use super::said::{level, say};
use super::settings::Settings;
use crate::LogError;

/// How long a question to the brokers may take.
pub(super) const ASK: Duration = Duration::from_secs(30);
/// How long a client may take to close before it is left to itself.
const CLOSE: Duration = Duration::from_secs(5);

/// Where the brokers are and what the user wants of all connections to them.
#[derive(Debug, Clone)]
pub(super) struct Connect {
    pub(super) brokers: String,
    pub(super) settings: Settings,
    /// What librdkafka last complained of.
    pub(super) complaint: Complaint,
}

impl Connect {
    /// What every client has in common.
    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "churnstream")
            .set("socket.nagle.disable", "true")
            .set("reconnect.backoff.max.ms", "2000")
            .set_log_level(level(&self.settings));
        config
    }

    /// Of a client for questions of administration.
    pub(super) fn admin(&self) -> Result<AdminClient<Context>, LogError> {
        let mut config = self.base();
        self.settings.apply(&mut config);
        config.create_with_context(self.context()).map_err(|error| self.error("connect", &error))
    }

    pub(super) fn context(&self) -> Context {
        Context { complaint: self.complaint.clone() }
    }

    /// What every consumer has in common: it sees what is committed, checks every batch, decides itself where to begin, and
    /// takes in no more than it is told.
    pub(super) fn consumer_config(&self, group: &str, queue_kbytes: u32) -> ClientConfig {
        let mut config = self.base();
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "error")
            .set("check.crcs", "true")
            .set("fetch.wait.max.ms", "50")
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.error.backoff.ms", "50")
            .set("queued.max.messages.kbytes", queue_kbytes.to_string())
            .set("fetch.message.max.bytes", "4194304")
            .set("topic.metadata.refresh.interval.ms", "30000");
        self.settings.apply(&mut config);
        config
    }

    /// What every producer has in common: nothing lost, nothing twice, nothing out of order.
    pub(super) fn producer_config(&self, compression: &str) -> ClientConfig {
        let mut config = self.base();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", compression)
            .set("linger.ms", "5")
            .set("batch.size", "1000000")
            .set("batch.num.messages", "10000")
            .set("message.max.bytes", super::topic_settings::MAX_MESSAGE_BYTES.to_string())
            .set("queue.buffering.max.kbytes", "65536")
            .set("queue.buffering.max.messages", "500000");
        self.settings.apply(&mut config);
        config
    }

    pub(super) fn error(&self, action: impl Into<String>, error: &KafkaError) -> LogError {
        if let KafkaError::ClientConfig(_, description, setting, _) = error {
            return self.settings.mistake(setting, description);
        }
        self.failed(action, error.to_string())
    }

    pub(super) fn failed(&self, action: impl Into<String>, detail: impl Into<String>) -> LogError {
        let mut detail = detail.into();
        // "All brokers are down" says less than why no connection was made.
        if let Some(complaint) = self.complaint.recent() {
            detail = format!("{detail}; {complaint}");
        }
        LogError::Broker { action: action.into(), brokers: self.brokers.clone(), detail }
    }
}

/// What librdkafka last complained of, shared by the clients of one log.
#[derive(Debug, Clone, Default)]
pub(super) struct Complaint(Arc<Mutex<Option<(Instant, String)>>>);

impl Complaint {
    /// Older complaints are about something else.
    const RECENT: Duration = Duration::from_secs(60);

    fn note(&self, reason: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), reason.to_owned()));
    }

    pub(super) fn recent(&self) -> Option<String> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.as_ref().filter(|(when, _)| when.elapsed() < Self::RECENT).map(|(_, reason)| reason.clone())
    }
}

/// What librdkafka says goes to our log.
#[derive(Debug, Clone, Default)]
pub(super) struct Context {
    complaint: Complaint,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        say(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client");
        // That all are down follows from what was said of each.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            self.complaint.note(reason);
        }
    }
}

impl ConsumerContext for Context {}

/// What became of a record is told by the flush or the commit behind it.
impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

pub(super) type Consumer = BaseConsumer<Context>;

/// Drops a client on a thread of its own and waits for that, but not for ever.
pub(super) fn let_go<T: Send + 'static>(what: &'static str, client: T) {
    let_go_together(vec![(what, Box::new(client))]);
}

/// Drops several clients at a time, and waits no longer than for one.
pub(super) fn let_go_together(clients: Vec<(&'static str, Box<dyn Send>)>) {
    let deadline = Instant::now() + CLOSE;
    let (done, ended) = mpsc::channel();
    let mut closing: Vec<&'static str> = Vec::with_capacity(clients.len());
    for (what, client) in clients {
        let done = done.clone();
        let thread = std::thread::Builder::new().name(format!("close-{what}")).spawn(move || {
            drop(client);
            let _ = done.send(what);
        });
        // Without a thread the client was dropped here already.
        if thread.is_ok() {
            closing.push(what);
        }
    }
    while !closing.is_empty() {
        match ended.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(what) => closing.retain(|closing| *closing != what),
            Err(_) => {
                let closing = closing.join(", ");
                tracing::warn!("does not close: {closing}; going on without waiting for it");
                return;
            }
        }
    }
}

/// A client that is let go of when it is dropped.
pub(super) struct Held<T: Send + 'static> {
    what: &'static str,
    client: Option<T>,
}

impl<T: Send + 'static> Held<T> {
    pub(super) const fn new(what: &'static str, client: T) -> Self {
        Self { what, client: Some(client) }
    }
}

impl<T: Send + 'static> std::ops::Deref for Held<T> {
    type Target = T;

    #[allow(clippy::expect_used)]
    fn deref(&self) -> &T {
        self.client.as_ref().expect("taken out only while it is dropped")
    }
}

impl<T: Send + 'static> Drop for Held<T> {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            let_go(self.what, client);
        }
    }
}

/// A list of one partition at an offset.
pub(super) fn one(
    topic: &str,
    partition: PartitionId,
    offset: Offset,
) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(topic, number(partition), rdkafka::Offset::Offset(signed(offset)))?;
    Ok(list)
}

/// Kafka numbers partitions by an `i32`.
pub(super) fn number(partition: PartitionId) -> i32 {
    i32::try_from(partition.0).unwrap_or(i32::MAX)
}

/// Kafka's offsets are `i64`.
pub(super) fn signed(offset: Offset) -> i64 {
    i64::try_from(offset.0).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(offset: i64) -> Offset {
    Offset(u64::try_from(offset).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that takes so long to close.
    struct Slow(Duration);

    impl Drop for Slow {
        fn drop(&mut self) {
            std::thread::sleep(self.0);
        }
    }

    #[test]
    fn several_clients_close_at_a_time_and_none_holds_up_for_ever() {
        let slow = |seconds| -> Box<dyn Send> { Box::new(Slow(Duration::from_secs(seconds))) };
        let begun = Instant::now();
        let_go_together(vec![("a", slow(1)), ("b", slow(1)), ("c", slow(1))]);
        assert!((Duration::from_secs(1)..Duration::from_secs(2)).contains(&begun.elapsed()), "{begun:?}");
        let begun = Instant::now();
        let_go_together(vec![("a", slow(60)), ("b", slow(60)), ("c", slow(0))]);
        assert!((CLOSE..CLOSE + Duration::from_secs(2)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    }
}
