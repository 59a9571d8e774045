//! Asking the brokers, and why they do not answer.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;

use super::KafkaLog;
use crate::LogError;

/// How long one try may take. What cannot come right ends the tries.
const TRY: Duration = Duration::from_secs(1);

/// How long somebody may take to answer who is there.
const THERE: Duration = Duration::from_secs(5);

/// After how long without an answer it is said that there is none yet.
const SILENCE: Duration = Duration::from_secs(2);

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

/// Whether trying again cannot help: the settings are wrong, not the network.
fn is_hopeless(complaint: &str) -> bool {
    ["certificate", "SSL handshake failed", "uthentication failed"]
        .iter()
        .any(|word| complaint.contains(word))
}
