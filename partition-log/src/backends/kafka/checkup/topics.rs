//! Topics: whether they are there, in as many partitions as they were made with, with settings by which nothing is lost.

use rdkafka::metadata::{Metadata, MetadataTopic};

use super::super::KafkaLog;
use super::super::topic_settings::{ALONE, AWAY, IN_SYNC, IN_SYNC_WANTED, Role, TopicSettings, wanted};
use super::super::topics::{NOTES, REPLICAS, least_replicas};
use crate::checkup::{Check, Purpose};

impl KafkaLog {
    pub(super) fn check_topics(&self, purpose: &Purpose, metadata: &Metadata) -> Vec<Check> {
        let (mut checks, possible) = (Vec::new(), self.replicas_by(metadata).count);
        let find = |topic: &str| metadata.topics().iter().find(|found| found.name() == topic);
        let events = self.name(&purpose.events);
        let expected = find(&events).map_or(0, |found| found.partitions().len());
        let all = std::iter::once(&purpose.events).chain(&purpose.outputs).chain(&purpose.compacted);
        for name in all {
            let topic = self.name(name);
            let about = format!("topic {topic}");
            let Some(found) = find(&topic) else {
                checks.push(self.absent(purpose, name));
                continue;
            };
            let count = found.partitions().len();
            let config = match self.find_topic(&topic) {
                Ok(Some(config)) => config,
                Ok(None) => {
                    checks.push(Check::problem(about, "it is gone", ""));
                    continue;
                }
                Err(error) => {
                    let advice = rights("topic", &topic, "Read");
                    checks.push(Check::problem(about, error.to_string(), advice));
                    continue;
                }
            };
            if count != expected {
                let found = format!("{count} partitions, and `{events}` has {expected}");
                let advice =
                    "outputs have as many as their input: remove this topic or begin it under another prefix";
                checks.push(Check::problem(about, found, advice));
                continue;
            }
            let foreign = config.key.is_empty();
            let role = match () {
                () if foreign && *name == purpose.events => Role::Read,
                () if purpose.compacted.contains(name) => Role::Compacted,
                () => Role::Written,
            };
            let said = if foreign { "made by others".to_owned() } else { format!("key {}", config.key) };
            let before = checks.len();
            checks.extend(replicas(&about, found, possible));
            let kept = match self.settings_or_why(&topic) {
                Ok(settings) => {
                    checks.extend(self.judged(&topic, &settings, role, least_replicas(found), possible));
                    if role == Role::Read {
                        settings.retention().0
                    } else {
                        "settings keep everything".into()
                    }
                }
                Err(check) => {
                    checks.push(check);
                    continue;
                }
            };
            if checks.len() == before {
                checks.push(Check::ok(about, format!("{count} partitions, {said}, {kept}")));
            }
        }
        let notes = self.name(NOTES);
        if let Some(found) = find(&notes) {
            match self.settings_or_why(&notes) {
                Ok(settings) => {
                    checks.extend(self.judged(
                        &notes,
                        &settings,
                        Role::Compacted,
                        least_replicas(found),
                        possible,
                    ));
                }
                Err(check) => checks.push(check),
            }
        }
        checks
    }

    fn absent(&self, purpose: &Purpose, topic: &str) -> Check {
        let about = format!("topic {}", self.name(topic));
        if topic == purpose.events {
            let advice = "make it by `producer import` or `producer simulate`; or this user has no right to see it (Describe)";
            return Check::problem(about, "there is none", advice);
        }
        Check::ok(about, "not there: a consumer makes it when it starts, if it needs it")
    }

    /// A topic's settings, or what is to be said where they are not known.
    fn settings_or_why(&self, topic: &str) -> Result<TopicSettings, Check> {
        let about = format!("topic {topic}");
        match self.settings_of(topic) {
            Ok(Some(settings)) => Ok(settings),
            Ok(None) => {
                let advice = rights("topic", topic, "DescribeConfigs");
                Err(Check::warning(about, "its settings are not known: no right to see them", advice))
            }
            Err(error) => Err(Check::problem(about, error.to_string(), "")),
        }
    }

    /// What is not as it should be about a topic's settings; nothing if all is.
    fn judged(
        &self,
        topic: &str,
        settings: &TopicSettings,
        role: Role,
        replicas: usize,
        possible: usize,
    ) -> Vec<Check> {
        let about = format!("topic {topic}");
        let faults = settings.faults(role);
        let mut checks: Vec<_> = faults
            .iter()
            .map(|fault| {
                let found = format!("{} is {}: {}", fault.setting, fault.has, fault.why);
                let advice = self.command_to_set(topic, &wanted(std::slice::from_ref(fault)));
                if fault.chosen {
                    Check::warning(&about, found, advice)
                } else {
                    Check::problem(&about, found, advice)
                }
            })
            .collect();
        let (kept, short) = settings.retention();
        if role == Role::Read && short {
            let advice = self.command_to_set(topic, "retention.ms=2592000000,retention.bytes=-1");
            let advice = format!("if its owner agrees, more time: {advice}");
            checks.push(Check::warning(&about, format!("{kept}: {AWAY}"), advice));
        }
        checks.extend(self.durability(topic, settings, replicas, possible));
        checks
    }

    /// Settings by which a failing broker takes acknowledged records along.
    fn durability(
        &self,
        topic: &str,
        settings: &TopicSettings,
        replicas: usize,
        possible: usize,
    ) -> Vec<Check> {
        let mut checks = Vec::new();
        let mut warn = |found: String, advice| {
            checks.push(Check::warning(format!("topic {topic}"), found, advice));
        };
        if settings.text("unclean.leader.election.enable") == Some("true") {
            let found =
                "unclean.leader.election.enable is true: a replica that lacks records may become the leader";
            warn(found.to_owned(), self.command_to_set(topic, "unclean.leader.election.enable=false"));
        }
        if settings.leader_may_be_alone(replicas, possible) {
            let mut advice = self.command_to_set(topic, IN_SYNC_WANTED);
            if replicas < REPLICAS {
                advice += "; with three replicas, or nothing is written while one broker is away";
            }
            warn(format!("{IN_SYNC} is 1: {ALONE}"), advice);
        }
        checks
    }
}

fn replicas(about: &str, topic: &MetadataTopic, possible: usize) -> Vec<Check> {
    let mut checks = Vec::new();
    let of = |what: &dyn Fn(&rdkafka::metadata::MetadataPartition) -> bool| -> Vec<String> {
        topic.partitions().iter().filter(|p| what(p)).map(|p| p.id().to_string()).collect()
    };
    let leaderless = of(&|partition| partition.leader() < 0);
    if !leaderless.is_empty() {
        let found = format!("no leader for partitions {}", leaderless.join(", "));
        checks.push(Check::problem(about, found, "start the brokers that hold them"));
    }
    let behind =
        of(&|partition| partition.leader() >= 0 && partition.isr().len() < partition.replicas().len());
    if !behind.is_empty() {
        let found = format!("replicas are behind for partitions {}", behind.join(", "));
        checks.push(Check::warning(about, found, "are all brokers running?"));
    }
    let (count, wanted) = (least_replicas(topic), possible.min(REPLICAS));
    if count > 0 && count < wanted {
        let found = if count == 1 {
            "one replica: a broker that fails takes its records along".to_owned()
        } else {
            format!("{count} replicas, and {wanted} are to be had")
        };
        checks.push(Check::warning(about, found, format!("kafka-reassign-partitions.sh gives it {wanted}")));
    }
    checks
}

/// How to get a right.
pub(super) fn rights(kind: &str, name: &str, operation: &str) -> String {
    format!("kafka-acls.sh --add --allow-principal User:YOURS --operation {operation} --{kind} {name}")
}
