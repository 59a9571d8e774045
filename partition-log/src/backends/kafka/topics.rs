//! Topics: how ours are made, and where their key and partitioner are kept.
//!
//! Kafka keeps no notes on a topic, so ours stand in a compacted topic of their own, [`NOTES`]: the topic's name and its
//! [`TopicConfig`] as JSON. A topic without a note was made by somebody else: its key is not known, and given as empty.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::{Metadata, MetadataTopic};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::KafkaLog;
use super::connect::{ASK, Context};
use super::topic_settings::{COMPACTED, IN_SYNC, OURS, Role, TopicSettings};
use crate::{LogError, RecordBuf, TopicConfig};

/// With so many replicas, two of which have what is acknowledged, one broker may fail: nothing is lost and writing goes on.
pub(super) const REPLICAS: usize = 3;
/// Kafka's word for a broker's `default.replication.factor`.
const BROKERS_DEFAULT: i32 = -1;
/// How long brokers that are not all there are waited for, where a topic needs more of them.
const PRESENT: Duration = Duration::from_secs(10);

/// In how many replicas a topic is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Replicas {
    pub(super) count: usize,
    /// Whether that is what the brokers make by themselves.
    by_default: bool,
}

impl Replicas {
    /// What is chosen for the brokers' topics, where that is more than one. One is Kafka's own default, chosen by nobody, with which a broker
    /// that fails takes all of it along: then as many as there are brokers, three at most.
    pub(super) fn of(default: Option<i64>, brokers: usize) -> Self {
        match default.and_then(|chosen| usize::try_from(chosen).ok()).filter(|chosen| *chosen > 1) {
            Some(count) => Self { count, by_default: true },
            None => Self { count: brokers.clamp(1, REPLICAS), by_default: false },
        }
    }

    pub(super) fn factor(self) -> i32 {
        if self.by_default { BROKERS_DEFAULT } else { i32::try_from(self.count).unwrap_or(BROKERS_DEFAULT) }
    }
}

/// The topic of what we know of topics.
pub(super) const NOTES: &str = "churnstream-topics";

/// How many replicas the partition of a topic has that has the fewest.
pub(super) fn least_replicas(topic: &MetadataTopic) -> usize {
    topic.partitions().iter().map(|partition| partition.replicas().len()).min().unwrap_or(0)
}

impl KafkaLog {
    /// Makes a topic of which the newest record of each key is kept, or checks that it is such a one.
    ///
    /// # Errors
    /// As for [`Log::create_topic`](crate::Log::create_topic).
    pub fn create_compacted(&self, topic: &str, config: &TopicConfig) -> Result<(), LogError> {
        crate::backends::check_topic(topic, config)?;
        self.make_topic(&self.name(topic), config, Role::Compacted)
    }

    pub(super) fn make_topic(&self, topic: &str, config: &TopicConfig, role: Role) -> Result<(), LogError> {
        if let Some(existing) = self.find_topic(topic)? {
            self.check_settings(topic, role)?;
            // Another process may be making it just now: then its note has come since.
            let noted =
                if existing.key.is_empty() { self.notes()?.remove(topic) } else { Some(existing.clone()) };
            if let Some(noted) = noted {
                return config.check_same(topic, &noted);
            }
            // Somebody made it for us: what it is keyed by is what we say now.
            let stated = TopicConfig { partitions: existing.partitions, ..config.clone() };
            config.check_same(topic, &stated)?;
            return self.note(topic, config);
        }
        self.create(topic, config.partitions, role)?;
        self.note(topic, config)
    }

    pub(super) fn find_topic(&self, topic: &str) -> Result<Option<TopicConfig>, LogError> {
        let Some(partitions) = self.partitions(topic)? else { return Ok(None) };
        // In a statement of its own: what is read next takes the lock too.
        let known = self.known().get(topic).cloned();
        let noted = match known {
            Some(known) => Some(known),
            None => self.notes()?.remove(topic),
        };
        let Some(noted) = noted else {
            return Ok(Some(TopicConfig {
                partitions,
                key: String::new(),
                partitioner: "murmur2".to_owned(),
            }));
        };
        if noted.partitions != partitions {
            return Err(LogError::BadTopic {
                topic: topic.to_owned(),
                detail: format!(
                    "it was made with {} partitions and has {partitions} now: events of one key lie in several of them. Make a \
                     topic with as many as you want by `churnstream log repartition`",
                    noted.partitions
                ),
            });
        }
        Ok(Some(noted))
    }

    /// How many partitions a topic has; `None` if there is no such topic.
    pub(super) fn partitions(&self, topic: &str) -> Result<Option<u32>, LogError> {
        self.partitions_within(topic, ASK)
    }

    pub(super) fn partitions_within(&self, topic: &str, within: Duration) -> Result<Option<u32>, LogError> {
        let action = || format!("ask for topic `{topic}`");
        let metadata = self.metadata(Some(topic), within).map_err(|error| self.asked(action(), &error))?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
            return Ok(None);
        };
        match found.error().map(RDKafkaErrorCode::from) {
            None => Ok(u32::try_from(found.partitions().len()).ok().filter(|count| *count > 0)),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(None),
            Some(error) => Err(self.connect.failed(action(), error.to_string())),
        }
    }

    /// How many replicas each partition has, at the least.
    pub(super) fn replicas(&self, topic: &str) -> Result<usize, LogError> {
        let asked = self.metadata(Some(topic), ASK);
        let metadata = asked.map_err(|error| self.asked(format!("ask for topic `{topic}`"), &error))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        Ok(found.map_or(0, least_replicas))
    }

    /// Makes a topic of our settings and returns when all brokers that are asked know it.
    pub(super) fn create(&self, topic: &str, partitions: u32, role: Role) -> Result<(), LogError> {
        let failed = |detail: String| self.connect.failed(format!("make topic `{topic}`"), detail);
        let admin = self.connect.admin()?;
        let count = i32::try_from(partitions).unwrap_or(i32::MAX);
        let replicas = self.replicas_of_ours(topic)?;
        let mut new = NewTopic::new(topic, count, TopicReplication::Fixed(replicas.factor()));
        for (key, value) in OURS {
            new = new.set(key, value);
        }
        if replicas.count >= REPLICAS {
            new = new.set(IN_SYNC, "2");
        }
        new = new.set("cleanup.policy", role.cleanup());
        if role == Role::Compacted {
            for (key, value) in COMPACTED {
                new = new.set(key, value);
            }
        }
        let options = AdminOptions::new().request_timeout(Some(ASK)).operation_timeout(Some(ASK));
        let until = Instant::now() + PRESENT;
        let made = loop {
            let results = futures_executor::block_on(admin.create_topics([&new], &options));
            match results.map(|mut results| results.pop()) {
                Ok(Some(Err((_, RDKafkaErrorCode::InvalidReplicationFactor)))) if Instant::now() < until => {
                    // Some are just starting.
                    std::thread::sleep(Duration::from_millis(200));
                }
                made => break made,
            }
        };
        super::connect::let_go("admin client", admin);
        match made.map_err(|error| failed(error.to_string()))? {
            None | Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => {}
            Some(Err((_, RDKafkaErrorCode::InvalidReplicationFactor))) => {
                let count = replicas.count;
                return Err(failed(format!(
                    "it is to have {count} replicas, and fewer brokers are there: start them, or make their \
                     default.replication.factor smaller"
                )));
            }
            Some(Err((_, error))) => return Err(failed(error.to_string())),
        }
        let deadline = Instant::now() + ASK;
        while self.partitions(topic)?.is_none() {
            if Instant::now() > deadline {
                return Err(failed("the brokers say that it was made, and do not know it".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// In how many replicas topics are made here.
    pub(super) fn replicas_of_ours(&self, topic: &str) -> Result<Replicas, LogError> {
        let asked = self.metadata(Some(topic), ASK);
        let metadata = asked.map_err(|error| self.asked("ask which brokers there are", &error))?;
        Ok(self.replicas_by(&metadata))
    }

    /// The same by what is known of the brokers. One whose settings this user may not see, or that does not answer, has chosen nothing.
    pub(super) fn replicas_by(&self, metadata: &Metadata) -> Replicas {
        let brokers = metadata.brokers();
        let settings = brokers.first().and_then(|broker| self.settings_of_broker(broker.id()).ok()?);
        let default = settings.and_then(|settings| settings.number("default.replication.factor"));
        Replicas::of(default, brokers.len())
    }

    /// Whether its leader alone may acknowledge a record, although it need not be so.
    pub(super) fn leader_is_alone(&self, topic: &str, settings: &TopicSettings) -> Result<bool, LogError> {
        let replicas = self.replicas(topic)?;
        // What is possible matters with two alone, and is a question more.
        let possible = if replicas == 2 { self.replicas_of_ours(topic)?.count } else { replicas };
        Ok(settings.leader_may_be_alone(replicas, possible))
    }

    /// Writes down what a topic is.
    fn note(&self, topic: &str, config: &TopicConfig) -> Result<(), LogError> {
        let failed =
            |detail: String| self.connect.failed(format!("write down what topic `{topic}` is"), detail);
        let notes = &self.name(NOTES);
        if self.partitions(notes)?.is_none() {
            self.create(notes, 1, Role::Compacted)?;
        } else {
            self.check_settings(notes, Role::Compacted)?;
        }
        let value = serde_json::to_vec(config).map_err(|error| failed(error.to_string()))?;
        let producer: BaseProducer<Context> = self
            .connect
            .producer_config("none")
            .create_with_context(self.connect.context())
            .map_err(|error| failed(error.to_string()))?;
        let record = BaseRecord::to(notes).partition(0).key(topic).payload(&value);
        let sent = producer.send(record).map_err(|(error, _)| error).and_then(|()| producer.flush(ASK));
        super::connect::let_go("producer", producer);
        sent.map_err(|error| failed(error.to_string()))?;
        self.known().insert(topic.to_owned(), config.clone());
        Ok(())
    }

    /// All that was written down.
    pub(super) fn notes(&self) -> Result<HashMap<String, TopicConfig>, LogError> {
        let (mut notes, kept) = (HashMap::new(), &self.name(NOTES));
        if self.partitions(kept)?.is_none() {
            return Ok(notes);
        }
        let partition = types::PartitionId(0);
        let start = self.ends(kept, partition)?.start;
        let mut reader = self.open_reader(kept, partition, start);
        let mut records = RecordBuf::default();
        loop {
            records.clear();
            if crate::PartitionReader::read(&mut reader, &mut records, 1 << 20)? == 0 {
                break;
            }
            for record in records.iter() {
                let topic = String::from_utf8_lossy(record.key).into_owned();
                // A later version's note is not for us.
                if let Ok(config) = serde_json::from_slice(record.value) {
                    notes.insert(topic, config);
                }
            }
        }
        self.known().clone_from(&notes);
        Ok(notes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_have_the_replicas_that_were_chosen_or_else_three_where_there_are_brokers_for_them() {
        for (default, brokers, count, factor) in [
            (None, 0, 1, 1),
            (None, 1, 1, 1),
            (None, 5, 3, 3),
            (Some(1), 1, 1, 1),
            (Some(1), 2, 2, 2),
            (Some(1), 3, 3, 3),
            // However many are there at the moment.
            (Some(2), 3, 2, -1),
            (Some(3), 1, 3, -1),
            (Some(4), 9, 4, -1),
            (Some(-1), 3, 3, 3),
        ] {
            let found = Replicas::of(default, brokers);
            assert_eq!((found.count, found.factor()), (count, factor), "{default:?} {brokers}");
        }
    }
}
