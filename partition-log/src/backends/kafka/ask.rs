//! Asking the brokers, and why they do not answer.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use types::PartitionId;

use super::KafkaLog;
use super::connect::number;
use crate::LogError;

/// How long one try may take. What cannot come right ends the tries.
const TRY: Duration = Duration::from_secs(1);

/// How long somebody may take to answer who is there.
const THERE: Duration = Duration::from_secs(5);

/// After how long without an answer it is said that there is none yet.
const SILENCE: Duration = Duration::from_secs(2);

/// How long a broker may take to know what it leads.
const WAKES: Duration = Duration::from_secs(10);
/// How often it is asked.
const AGAIN: Duration = Duration::from_millis(100);

impl KafkaLog {
    /// Whether a broker answers, within some seconds. One that refuses this process has answered too.
    #[must_use]
    pub fn answers(&self, topic: &str) -> bool {
        let asked = self.metadata(Some(&self.name(topic)), THERE);
        asked.is_ok() || self.connect.complaint.recent().is_some_and(|said| is_hopeless(&said))
    }

    /// What the brokers are, and their topics or one of them. Asks again while nobody answers.
    pub(super) fn metadata(&self, topic: Option<&str>, within: Duration) -> Result<Metadata, KafkaError> {
        let begun = Instant::now();
        let deadline = begun + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.asker.fetch_metadata(topic, TRY.min(left)) {
                Ok(metadata) => return Ok(metadata),
                Err(error) => {
                    self.listen();
                    let hopeless = self.connect.complaint.recent().is_some_and(|said| is_hopeless(&said));
                    if hopeless || Instant::now() >= deadline {
                        return Err(error);
                    }
                    if within > THERE && begun.elapsed() > SILENCE {
                        self.tell_silence(deadline.saturating_duration_since(Instant::now()));
                    }
                }
            }
        }
    }

    /// Says once that no broker answers and that it is tried on: a command that says nothing for half a minute seems to hang.
    fn tell_silence(&self, left: Duration) {
        if self.silence_told.swap(true, Ordering::Relaxed) {
            return;
        }
        let (brokers, left) = (&self.connect.brokers, left.as_secs());
        // Programs that only print keep no log.
        if tracing::dispatcher::has_been_set() {
            tracing::warn!(%brokers, "no broker answers yet; trying for another {left} s");
        } else {
            eprintln!("no broker answers at {brokers} yet; trying for another {left} s");
        }
    }

    /// An error of the asker's, with what it complained of meanwhile.
    pub(super) fn asked(&self, action: impl Into<String>, error: &KafkaError) -> LogError {
        self.listen();
        self.connect.error(action, error)
    }

    /// Takes the asker's complaints, which come to light only when it is polled. It is assigned nothing, so there are no records to lose.
    fn listen(&self) {
        // Whether anything is left to be told is not told.
        let until = Instant::now() + Duration::from_millis(100);
        while Instant::now() < until {
            let _ = self.asker.poll(Duration::from_millis(10));
        }
    }
}

/// Where a partition begins and ends, as far as the consumer may see. A broker that has just come back may not know yet what it leads, or that it
/// does: it is asked again.
pub(super) fn watermarks<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: PartitionId,
    within: Duration,
) -> Result<(i64, i64), KafkaError> {
    let deadline = Instant::now() + within.min(WAKES);
    loop {
        match consumer.fetch_watermarks(topic, number(partition), within) {
            Err(error) if is_waking(&error) && Instant::now() < deadline => std::thread::sleep(AGAIN),
            answer => return answer,
        }
    }
}

/// Whether it is what brokers say that do not know yet, or librdkafka of them.
fn is_waking(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::NotLeaderForPartition
        )
    )
}

/// Whether trying again cannot help: the settings are wrong, not the network.
fn is_hopeless(complaint: &str) -> bool {
    ["certificate", "SSL handshake failed", "uthentication failed"]
        .iter()
        .any(|word| complaint.contains(word))
}
