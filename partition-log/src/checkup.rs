//! Whether a log is fit for work: what is checked, what was found, and what to do. The checks of Kafka stand with its backend.

use serde::Serialize;
use types::PartitionId;

use crate::Log;

/// How one thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and something may be lost or is not known.
    Warning,
    /// It does not work, or something will be lost.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What: `brokers`, `topic events`, `clock`.
    pub about: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do; empty if there is nothing to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

impl Check {
    /// Something that is as it should be.
    pub fn ok(about: impl Into<String>, found: impl Into<String>) -> Self {
        Self { about: about.into(), verdict: Verdict::Ok, found: found.into(), advice: String::new() }
    }

    /// Something that works and should be better.
    pub fn warning(about: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, advice: advice.into(), ..Self::ok(about, found) }
    }

    /// Something that does not work.
    pub fn problem(about: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Problem, advice: advice.into(), ..Self::ok(about, found) }
    }
}

/// What a log is wanted for.
#[derive(Debug, Clone)]
pub struct Purpose {
    /// The topic of events.
    pub events: String,
    /// The topics that a consumer writes.
    pub outputs: Vec<String>,
    /// On Kafka: those that a consumer writes and of which the newest record of a key counts.
    pub compacted: Vec<String>,
    /// On Kafka: the group of consumers.
    pub group: String,
    /// On Kafka: try to write too, into a topic that is made for it and removed, and in transactions that are aborted. That tells the
    /// brokers' clock exactly, and every right that is missing.
    pub try_writing: bool,
}

/// Looks at a log in files or in memory: what topics there are, and whether their partitions can be read from one end to the other.
#[must_use]
pub fn of_files(log: &dyn Log, purpose: &Purpose) -> Vec<Check> {
    let topics = match log.topics() {
        Ok(topics) => topics,
        Err(error) => {
            let advice = "check that the folder is there and may be read";
            return vec![Check::problem("log", error.to_string(), advice)];
        }
    };
    let mut checks = vec![Check::ok("log", format!("{} topics in {}", topics.len(), log.place()))];
    if !topics.contains(&purpose.events) {
        let found = format!("there is none in {}", log.place());
        let advice = "import or simulate events: producer import --help";
        checks.push(Check::problem(format!("topic {}", purpose.events), found, advice));
    }
    let mut of_events = None;
    for topic in std::iter::once(&purpose.events).chain(&purpose.outputs) {
        if !topics.contains(topic) {
            continue;
        }
        let check = topic_of_files(log, topic);
        if let Ok(Some(config)) = log.topic(topic) {
            let expected = *of_events.get_or_insert(config.partitions);
            if config.partitions != expected {
                let found =
                    format!("{} partitions, and `{}` has {expected}", config.partitions, purpose.events);
                let advice = "it is the output of another log: move it away";
                checks.push(Check::problem(format!("topic {topic}"), found, advice));
                continue;
            }
        }
        checks.push(check);
    }
    checks
}

fn topic_of_files(log: &dyn Log, topic: &str) -> Check {
    let about = format!("topic {topic}");
    let advice = format!("churnstream log verify {}/{topic} says what can still be read", log.place());
    let config = match log.topic(topic) {
        Ok(Some(config)) => config,
        Ok(None) => return Check::problem(about, "it is gone", advice),
        Err(error) => return Check::problem(about, error.to_string(), advice),
    };
    let mut records = 0;
    for partition in (0..config.partitions).map(PartitionId) {
        match log.bounds(topic, partition) {
            Ok(bounds) => records += bounds.end.since(bounds.start),
            Err(error) => return Check::problem(about, error.to_string(), advice),
        }
    }
    let key = if config.key.is_empty() { "no key".to_owned() } else { format!("key {}", config.key) };
    Check::ok(about, format!("{} partitions, {key}, {records} records", config.partitions))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileLog, LogOptions, TopicConfig};

    #[test]
    fn a_log_in_files_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let log = FileLog::new(dir.path(), LogOptions::default());
        let purpose = Purpose {
            events: "events".into(),
            outputs: vec!["scores".into()],
            compacted: vec![],
            group: String::new(),
            try_writing: false,
        };
        let verdicts =
            |log: &dyn Log| of_files(log, &purpose).iter().map(|check| check.verdict).collect::<Vec<_>>();
        assert_eq!(verdicts(&log), [Verdict::Ok, Verdict::Problem]);
        let config =
            |partitions| TopicConfig { partitions, key: "user".into(), partitioner: "murmur2".into() };
        log.create_topic("events", &config(2)).unwrap();
        assert_eq!(verdicts(&log), [Verdict::Ok, Verdict::Ok]);
        log.create_topic("scores", &config(3)).unwrap();
        assert_eq!(verdicts(&log), [Verdict::Ok, Verdict::Ok, Verdict::Problem]);
    }
}
