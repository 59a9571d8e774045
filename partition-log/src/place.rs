//! Opening a log by the place as a user writes it.

use std::sync::Arc;
use std::time::Duration;

use types::Millis;

use crate::{Compression, Log, LogError};

/// A log to be shared between threads.
pub type SharedLog = Arc<dyn Log>;

/// What a sync promises of the file backend. A crash of the process alone loses nothing that was flushed, whatever
/// stands here; this is about the machine losing power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// What is synced is on the disk before readers see it. Exactly-once needs this of outputs.
    #[default]
    Always,
    /// As `Always`, but at most once in this span for each partition: power loss takes what was synced since.
    Interval(Duration),
    /// When the system writes it, usually within half a minute: power loss takes what it had not written.
    System,
}

impl std::str::FromStr for Durability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let interval = || text.strip_prefix("interval:")?.parse::<Millis>().ok().filter(|span| span.0 > 0);
        match text {
            "always" => Ok(Self::Always),
            "system" => Ok(Self::System),
            _ => match interval() {
                Some(span) => Ok(Self::Interval(Duration::from_millis(span.0.unsigned_abs()))),
                None => Err(format!("`{text}`: write always, interval:SPAN (as interval:10s) or system")),
            },
        }
    }
}

/// How a log is written. Readers need none of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// What a sync promises. Default: [`Durability::Always`].
    pub durability: Durability,
    /// How batches are compressed. Default: not, in files; by lz4, on Kafka.
    pub compression: Compression,
    /// A batch is written when it would grow beyond this many bytes before compression. Default: 64 KiB. A record that is
    /// larger alone has a batch of its own.
    pub batch_bytes: usize,
    /// A segment file is closed before it would grow beyond this many bytes. Default: 256 MiB; at most 2 GiB less one.
    pub segment_bytes: u64,
    /// A segment file is closed before its records' timestamps would span more than this. Default: 30 days.
    pub segment_span: Millis,
    /// About every this many bytes of a segment there is an index entry. Default: 4096, as in Kafka.
    pub index_interval_bytes: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            compression: Compression::default(),
            batch_bytes: 64 << 10,
            segment_bytes: 256 << 20,
            segment_span: Millis(30 * Millis::DAY.0),
            index_interval_bytes: 4096,
        }
    }
}

/// Opens the log at a place: `file:DIR`, whose folder is made when the first topic is, or `kafka:BROKERS`, which is connected to
/// when it is first asked something.
///
/// # Errors
/// [`LogError::BadPlace`] if the text names no place that this build can open.
pub fn open(place: &str, options: &LogOptions) -> Result<SharedLog, LogError> {
    match place.split_once(':') {
        Some(("file", dir)) if !dir.is_empty() => Ok(Arc::new(crate::FileLog::new(dir, options.clone()))),
        Some(("kafka", brokers)) if !brokers.is_empty() => {
            Ok(Arc::new(crate::KafkaLog::new(brokers, options)?))
        }
        _ => Err(no_place(place)),
    }
}

fn no_place(text: &str) -> LogError {
    LogError::BadPlace(format!("`{text}` is not a place of a log: write file:DIR or kafka:HOST:PORT"))
}

/// Checks that a text names a place of a log, for whoever parses a command line.
///
/// # Errors
/// [`LogError::BadPlace`] if it does not.
pub fn parse_place(text: &str) -> Result<String, LogError> {
    match text.split_once(':') {
        Some(("file" | "kafka", rest)) if !rest.is_empty() => Ok(text.to_owned()),
        _ => Err(no_place(text)),
    }
}

/// A topic as users write it on the command line: `file:DIR/TOPIC`, `kafka:BROKERS/TOPIC` or `kafka:BROKERS/PREFIX/TOPIC`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPlace {
    /// The log: `file:DIR` or `kafka:BROKERS`.
    pub place: String,
    /// The topic in it.
    pub topic: String,
}

impl std::str::FromStr for TopicPlace {
    type Err = LogError;

    /// Splits at the last `/`.
    fn from_str(text: &str) -> Result<Self, LogError> {
        let trimmed = text.trim_end_matches('/');
        match trimmed.rsplit_once('/') {
            Some((place, topic)) if place.contains(':') && !place.ends_with(':') && !topic.is_empty() => {
                Ok(Self { place: place.to_owned(), topic: topic.to_owned() })
            }
            _ => Err(LogError::BadPlace(format!(
                "`{text}` is not a topic's place: write file:DIR/TOPIC or kafka:HOST:PORT/TOPIC"
            ))),
        }
    }
}

impl std::fmt::Display for TopicPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.place, self.topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_places_are_split_at_the_last_slash() {
        let place: TopicPlace = "file:a/b/events".parse().unwrap();
        assert_eq!((place.place.as_str(), place.topic.as_str()), ("file:a/b", "events"));
        assert_eq!(place.to_string(), "file:a/b/events");
        let place: TopicPlace = "file:./events/".parse().unwrap();
        assert_eq!((place.place.as_str(), place.topic.as_str()), ("file:.", "events"));
        for bad in ["", "events", "a/events", "file:events", "file:/events", "file:"] {
            assert!(bad.parse::<TopicPlace>().is_err(), "{bad}");
        }
    }

    #[test]
    fn durabilities_are_told_by_name() {
        for (text, durability) in [
            ("always", Durability::Always),
            ("system", Durability::System),
            ("interval:10s", Durability::Interval(Duration::from_secs(10))),
        ] {
            assert_eq!(text.parse(), Ok(durability));
        }
        for bad in ["", "interval", "interval:", "interval:0s", "interval:10", "Always"] {
            let error = bad.parse::<Durability>().unwrap_err();
            assert!(error.contains("write always, interval:SPAN"), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_opened_says_why() {
        for (place, word) in [("kafka:", "kafka:HOST:PORT"), ("file:", "file:DIR"), ("x", "file:DIR")] {
            let error = open(place, &LogOptions::default()).err().unwrap().to_string();
            assert!(error.contains(word) && error.contains(place), "{error}");
            assert_eq!(parse_place(place).unwrap_err().to_string(), error);
        }
    }
}
