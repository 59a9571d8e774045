//! What a topic's settings must be for nothing to be lost in it. Ours are made with them; what others made is checked.
//!
//! A retention that somebody chose for the topic is theirs to choose. One that is only the broker's default (a week) was chosen by
//! nobody, and would delete imported history as soon as it is written.

use std::collections::BTreeMap;

use rdkafka::admin::{AdminOptions, ConfigSource, ResourceSpecifier};
use rdkafka::error::RDKafkaErrorCode;

use super::KafkaLog;
use super::connect::ASK;
use super::topics::REPLICAS;
use crate::LogError;

/// The largest batch that our topics take. One record is at most this large.
pub(super) const MAX_MESSAGE_BYTES: usize = 32 << 20;
/// What Kafka's topics take if nobody says otherwise. Our batches are no larger, unless one record is.
const LEAST_MESSAGE_BYTES: i64 = 1_048_588;
/// Events may be stamped a day ahead of their arrival, and clocks differ.
const LEAST_AHEAD_MS: i64 = 2 * 86_400_000;
/// Records that others write should outlive a consumer that stands still over some days off.
const SHORT_MS: i64 = 4 * 86_400_000;
/// 100 years. Kafka's own default is no limit.
const LEAST_BEHIND_MS: i64 = 100 * 365 * 86_400_000;

/// What our topics are made with. Stated rather than left to the broker: its defaults would delete imported history by its age (a
/// week) and refuse records that are stamped more than an hour ahead.
pub(super) const OURS: [(&str, &str); 6] = [
    ("retention.ms", "-1"),
    ("retention.bytes", "-1"),
    ("message.timestamp.type", "CreateTime"),
    ("message.timestamp.before.max.ms", "9223372036854775807"),
    ("message.timestamp.after.max.ms", "9223372036854775807"),
    ("max.message.bytes", "33554432"),
];

/// And those of which the newest record of a key counts: compacted early, since a segment that is written to is not compacted at all and whoever
/// restores from the topic reads all of it.
pub(super) const COMPACTED: [(&str, &str); 2] =
    [("segment.bytes", "67108864"), ("min.cleanable.dirty.ratio", "0.3")];

/// What a short retention of what others write means.
pub(super) const AWAY: &str =
    "a consumer that is away for longer loses events, and state cannot be rebuilt from what is gone";
/// What it means that one replica is enough.
pub(super) const ALONE: &str =
    "a record that was acknowledged while its leader alone had it goes with that broker";
/// The setting that mends it.
pub(super) const IN_SYNC_WANTED: &str = "min.insync.replicas=2";

/// How many replicas have to have a record before it is acknowledged.
pub(super) const IN_SYNC: &str = "min.insync.replicas";

/// What a topic is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// We append to it, and every record counts.
    Written,
    /// We append to it, and the newest record of a key counts.
    Compacted,
    /// Others append to it.
    Read,
}

impl Role {
    pub(super) fn cleanup(self) -> &'static str {
        if self == Self::Compacted { "compact" } else { "delete" }
    }
}

/// A setting and whether somebody chose it for this topic.
#[derive(Debug, Clone)]
struct Value {
    text: String,
    chosen: bool,
}

/// A topic's settings, or a broker's, as the brokers tell them.
#[derive(Debug, Clone, Default)]
pub(super) struct TopicSettings(BTreeMap<String, Value>);

/// A setting that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) setting: &'static str,
    pub(super) has: String,
    /// What it should be set to.
    pub(super) wants: &'static str,
    pub(super) why: &'static str,
    /// Somebody may want it so: said, and not refused.
    pub(super) chosen: bool,
}

impl TopicSettings {
    pub(super) fn text(&self, setting: &str) -> Option<&str> {
        self.0.get(setting).map(|value| value.text.as_str())
    }

    /// A setting that is a number; `None` if brokers of this version have no such setting.
    pub(super) fn number(&self, setting: &str) -> Option<i64> {
        self.text(setting)?.parse().ok()
    }

    /// Whether a record of a topic with so many replicas may be acknowledged while only its leader has it, although so many are possible that
    /// it need not be: with two replicas in all, nothing would be written while one broker is away.
    pub(super) fn leader_may_be_alone(&self, replicas: usize, possible: usize) -> bool {
        replicas > 1 && replicas.max(possible) >= REPLICAS && self.number(IN_SYNC) == Some(1)
    }

    /// How long records stay, in words; and whether that is short for a consumer that was away.
    pub(super) fn retention(&self) -> (String, bool) {
        let limit = |setting| self.number(setting).filter(|limit| *limit >= 0);
        let (time, bytes) = (limit("retention.ms"), limit("retention.bytes"));
        let kept = match time {
            Some(ms) => format!("records are kept for {}", span(ms)),
            None if bytes.is_some() => "records are kept whatever their age".to_owned(),
            None => "records are kept for ever".to_owned(),
        };
        let short = bytes.is_some() || time.is_some_and(|ms| ms < SHORT_MS);
        match bytes {
            Some(bytes) => (format!("{kept}, of each partition no more than {bytes} bytes"), short),
            None => (kept, short),
        }
    }

    /// What is not as it should be.
    pub(super) fn faults(&self, role: Role) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |setting, wants, why, may_be_chosen: bool| {
            if let Some(Value { text, chosen }) = self.0.get(setting) {
                let chosen = may_be_chosen && *chosen;
                faults.push(Fault { setting, has: text.clone(), wants, why, chosen });
            }
        };
        let compacts = self.text("cleanup.policy").is_some_and(|policy| policy.contains("compact"));
        let below = |setting: &str, least: i64| self.number(setting).is_some_and(|value| value < least);
        let finite = |setting: &str| self.number(setting).is_some_and(|value| value >= 0);
        match role {
            Role::Compacted if !compacts => {
                fault("cleanup.policy", "compact", "what is still needed would be deleted by its age", false);
            }
            Role::Written | Role::Read if compacts => {
                fault(
                    "cleanup.policy",
                    "delete",
                    "all but the newest record of each key would be deleted",
                    false,
                );
            }
            _ => {}
        }
        if role == Role::Written {
            for setting in ["retention.ms", "retention.bytes"] {
                if finite(setting) {
                    fault(
                        setting,
                        "-1",
                        "records are deleted, scores of history as soon as they are written",
                        true,
                    );
                }
            }
        }
        if role == Role::Read {
            return faults;
        }
        if self.text("message.timestamp.type").is_some_and(|kind| kind != "CreateTime") {
            fault(
                "message.timestamp.type",
                "CreateTime",
                "the times of records would be replaced by the broker's",
                false,
            );
        }
        if below("message.timestamp.before.max.ms", LEAST_BEHIND_MS) {
            let why = "records of imported history would be rejected";
            fault("message.timestamp.before.max.ms", "9223372036854775807", why, false);
        }
        if below("message.timestamp.after.max.ms", LEAST_AHEAD_MS) {
            let why = "records that are stamped ahead of the broker's clock would be rejected";
            fault("message.timestamp.after.max.ms", "9223372036854775807", why, false);
        }
        // A block of state can hold one user with very many events, and is not cut.
        let least = if role == Role::Compacted { MAX_MESSAGE_BYTES as i64 } else { LEAST_MESSAGE_BYTES };
        if below("max.message.bytes", least) {
            fault("max.message.bytes", "33554432", "batches would be rejected for their size", false);
        }
        faults
    }
}

/// A span in the largest unit that it is a whole number of.
fn span(ms: i64) -> String {
    let units = [(86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second")];
    match units.into_iter().find(|(unit, _)| ms >= *unit && ms % unit == 0) {
        Some((unit, name)) => format!("{} {name}{}", ms / unit, if ms == unit { "" } else { "s" }),
        None => format!("{ms} ms"),
    }
}

/// The settings that should be set, as [`KafkaLog::command_to_set`] takes them.
pub(super) fn wanted(faults: &[Fault]) -> String {
    let wanted: Vec<_> = faults.iter().map(|fault| format!("{}={}", fault.setting, fault.wants)).collect();
    wanted.join(",")
}

impl KafkaLog {
    /// The command of Kafka's own that changes settings (`a=1,b=2`) of a topic, which is named as the brokers do.
    #[must_use]
    pub fn command_to_set(&self, topic: &str, settings: &str) -> String {
        format!(
            "kafka-configs.sh --bootstrap-server {} --alter --entity-type topics --entity-name {topic} --add-config {settings}",
            self.connect.brokers
        )
    }

    /// A topic's settings; `None` if this user has no right to see them. The topic is named as the brokers do.
    pub(super) fn settings_of(&self, topic: &str) -> Result<Option<TopicSettings>, LogError> {
        self.described(&ResourceSpecifier::Topic(topic))
    }

    /// The same of a broker.
    pub(super) fn settings_of_broker(&self, number: i32) -> Result<Option<TopicSettings>, LogError> {
        self.described(&ResourceSpecifier::Broker(number))
    }

    fn described(&self, what: &ResourceSpecifier<'_>) -> Result<Option<TopicSettings>, LogError> {
        let action = || match what {
            ResourceSpecifier::Topic(topic) => format!("ask for the settings of topic `{topic}`"),
            other => format!("ask for the settings of {other:?}"),
        };
        let admin = self.connect.admin()?;
        let options = AdminOptions::new().request_timeout(Some(ASK)).operation_timeout(Some(ASK));
        let answer = futures_executor::block_on(admin.describe_configs([what], &options));
        super::connect::let_go("admin client", admin);
        let answer = answer.map_err(|error| self.connect.error(action(), &error))?;
        match answer.into_iter().next() {
            Some(Ok(found)) => {
                let entries = found.entries.into_iter().filter_map(|entry| {
                    let chosen = entry.source == ConfigSource::DynamicTopic;
                    Some((entry.name, Value { text: entry.value?, chosen }))
                });
                Ok(Some(TopicSettings(entries.collect())))
            }
            None
            | Some(Err(
                RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed,
            )) => Ok(None),
            Some(Err(error)) => Err(self.connect.failed(action(), error.to_string())),
        }
    }

    /// The largest batch that a topic takes, and that we send; what Kafka's topics take by default where this user has no right to see it.
    pub(super) fn largest_batch(&self, topic: &str) -> Result<usize, LogError> {
        let set = self.settings_of(topic)?.and_then(|settings| settings.number("max.message.bytes"));
        let set = usize::try_from(set.unwrap_or(LEAST_MESSAGE_BYTES)).unwrap_or_default();
        Ok(set.min(MAX_MESSAGE_BYTES))
    }

    /// Refuses a topic that would lose something. The topic is named as the brokers do.
    pub(super) fn check_settings(&self, topic: &str, role: Role) -> Result<(), LogError> {
        let Some(settings) = self.settings_of(topic)? else {
            tracing::warn!(
                topic,
                "whether the topic's settings keep everything is not known: there is no right to see them (DescribeConfigs)"
            );
            return Ok(());
        };
        let (chosen, refused): (Vec<_>, Vec<_>) =
            settings.faults(role).into_iter().partition(|fault| fault.chosen);
        for Fault { setting, has, why, .. } in chosen {
            tracing::warn!(topic, setting, value = has, "a setting that was chosen for this topic: {why}");
        }
        if settings.number(IN_SYNC) == Some(1) && self.leader_is_alone(topic, &settings)? {
            let remedy = self.command_to_set(topic, IN_SYNC_WANTED);
            tracing::warn!(topic, "{IN_SYNC} is 1: {ALONE}. Set it by: {remedy}");
        }
        let (kept, short) = settings.retention();
        if role == Role::Read && short {
            tracing::warn!(topic, "{kept}: {AWAY}");
        }
        if refused.is_empty() {
            return Ok(());
        }
        let said: Vec<_> = refused
            .iter()
            .map(|Fault { setting, has, why, .. }| format!("its {setting} is {has}: {why}"))
            .collect();
        let remedy = self.command_to_set(topic, &wanted(&refused));
        // A retention that is written down is taken as it is.
        let choice = if refused.iter().any(|fault| fault.setting.starts_with("retention")) {
            ". Any other retention may be written there too: one that was chosen is not refused"
        } else {
            ""
        };
        let detail = format!("{}. Set it by: {remedy}{choice}", said.join("; "));
        Err(LogError::BadTopic { topic: topic.to_owned(), detail })
    }

    /// Refuses a topic that others write if it loses what nobody has read yet.
    ///
    /// # Errors
    /// [`LogError::BadTopic`] if it is compacted, with the command that changes it.
    pub fn check_input(&self, topic: &str) -> Result<(), LogError> {
        self.check_settings(&self.name(topic), Role::Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[(&str, &str, bool)]) -> TopicSettings {
        let values = values.iter().map(|(name, text, chosen)| {
            ((*name).to_owned(), Value { text: (*text).into(), chosen: *chosen })
        });
        TopicSettings(values.collect())
    }

    /// What a broker of version 4 gives a topic of which nothing was said.
    const DEFAULTS: [(&str, &str, bool); 7] = [
        ("cleanup.policy", "delete", false),
        ("retention.ms", "604800000", false),
        ("retention.bytes", "-1", false),
        ("message.timestamp.type", "CreateTime", false),
        ("message.timestamp.before.max.ms", "9223372036854775807", false),
        ("message.timestamp.after.max.ms", "3600000", false),
        ("max.message.bytes", "1048588", false),
    ];

    #[test]
    fn a_brokers_defaults_lose_history_and_ours_do_not() {
        let wrong: Vec<_> =
            of(&DEFAULTS).faults(Role::Written).into_iter().map(|f| (f.setting, f.chosen)).collect();
        assert_eq!(wrong, [("retention.ms", false), ("message.timestamp.after.max.ms", false)]);
        assert_eq!(of(&DEFAULTS).faults(Role::Read), []);
        let ours: Vec<_> = OURS.iter().map(|(name, text)| (*name, *text, true)).collect();
        for role in [Role::Written, Role::Compacted, Role::Read] {
            let mut all = ours.clone();
            all.push(("cleanup.policy", role.cleanup(), true));
            assert_eq!(of(&all).faults(role), []);
        }
    }

    #[test]
    fn retention_is_told_in_words() {
        for (ms, bytes, words, short) in [
            ("3600000", "-1", "records are kept for 1 hour", true),
            ("604800000", "-1", "records are kept for 7 days", false),
            ("345599999", "-1", "records are kept for 345599999 ms", true),
            ("-1", "-1", "records are kept for ever", false),
            ("-1", "9", "records are kept whatever their age, of each partition no more than 9 bytes", true),
        ] {
            let settings = of(&[("retention.ms", ms, true), ("retention.bytes", bytes, false)]);
            assert_eq!(settings.retention(), (words.to_owned(), short));
        }
    }

    #[test]
    fn a_leader_alone_is_enough_where_one_replica_has_to_have_a_record() {
        let two = [(2, 2, "1", false), (2, 3, "1", true)];
        let three = [(3, 2, "1", true), (3, 3, "1", true), (3, 3, "2", false)];
        let one = [(1, 1, "1", false), (1, 3, "1", false)];
        for (replicas, possible, least, alone) in one.into_iter().chain(two).chain(three) {
            let settings = of(&[(IN_SYNC, least, false)]);
            assert_eq!(settings.leader_may_be_alone(replicas, possible), alone, "{replicas} of {possible}");
        }
        assert!(!of(&[]).leader_may_be_alone(3, 3), "not known");
    }

    #[test]
    fn a_topic_of_blocks_has_to_take_large_ones() {
        let mut chosen = DEFAULTS;
        chosen[0] = ("cleanup.policy", "compact", true);
        let faults = of(&chosen).faults(Role::Compacted);
        assert_eq!(
            faults.iter().map(|f| f.setting).collect::<Vec<_>>(),
            ["message.timestamp.after.max.ms", "max.message.bytes"]
        );
    }

    #[test]
    fn what_was_chosen_may_stay_unless_it_breaks() {
        let mut chosen = DEFAULTS;
        chosen[0] = ("cleanup.policy", "compact,delete", true);
        chosen[1].2 = true;
        let faults = of(&chosen).faults(Role::Written);
        assert_eq!(
            faults.iter().map(|f| (f.setting, f.chosen)).take(2).collect::<Vec<_>>(),
            [("cleanup.policy", false), ("retention.ms", true)]
        );
        assert_eq!(
            wanted(&faults),
            "cleanup.policy=delete,retention.ms=-1,message.timestamp.after.max.ms=9223372036854775807"
        );
    }
}
