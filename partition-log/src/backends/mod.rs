//! The places where topics can live.

pub mod file;
pub mod kafka;
pub mod memory;

use crate::{LogError, TopicConfig};

/// Kafka allows 249 bytes; a file name also needs room for what stands behind the topic in it.
const MAX_TOPIC_LEN: usize = 200;

/// More partitions than any machine serves; it bounds what a wrong number can make.
const MAX_PARTITIONS: u32 = 10_000;

fn check_topic(topic: &str, config: &TopicConfig) -> Result<(), LogError> {
    check_name(topic)?;
    if config.partitions == 0 || config.partitions > MAX_PARTITIONS {
        return Err(LogError::BadTopic {
            topic: topic.to_owned(),
            detail: format!("it must have 1 to {MAX_PARTITIONS} partitions, not {}", config.partitions),
        });
    }
    Ok(())
}

/// Kafka's rule for topic names.
fn check_name(topic: &str) -> Result<(), LogError> {
    let plain = topic.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if plain && (1..=MAX_TOPIC_LEN).contains(&topic.len()) && topic != "." && topic != ".." {
        return Ok(());
    }
    Err(LogError::BadTopicName(topic.to_owned()))
}
