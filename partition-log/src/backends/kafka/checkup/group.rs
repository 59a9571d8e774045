//! The group: the right to be in it, who is, and how far behind they are.

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use types::PartitionId;

use super::super::KafkaLog;
use super::super::connect::{Consumer, let_go};
use super::super::lag::committed;
use super::FIND;
use super::topics::rights;
use crate::checkup::{Check, Purpose};

impl KafkaLog {
    /// The right to read, and the lag of the group.
    pub(super) fn check_group(&self, purpose: &Purpose) -> Vec<Check> {
        let topic = self.name(&purpose.events);
        let Ok(Some(partitions)) = self.partitions(&topic) else { return Vec::new() };
        let mut checks = Vec::new();
        let mut ends = Vec::new();
        for partition in (0..partitions).map(PartitionId) {
            match self.ends(&topic, partition) {
                Ok(bounds) => ends.push(bounds),
                Err(error) => {
                    let advice = rights("topic", &topic, "Read");
                    return vec![Check::problem(format!("read {topic}"), error.to_string(), advice)];
                }
            }
        }
        checks.push(self.check_reading(&topic, &ends));
        let about = format!("group {}", purpose.group);
        let consumer: Consumer = match self
            .connect
            .consumer_config(&purpose.group, 64)
            .create_with_context(self.connect.context())
        {
            Ok(consumer) => consumer,
            Err(error) => {
                checks.push(Check::problem(about, self.connect.error("connect", &error).to_string(), ""));
                return checks;
            }
        };
        let committed = committed(&consumer, &topic, partitions, FIND);
        let members = consumer.fetch_group_list(Some(&purpose.group), FIND);
        let_go("consumer", consumer);
        let committed = match committed {
            Ok(committed) => committed,
            Err(error) => {
                let advice = rights("group", &purpose.group, "Read");
                checks.push(Check::problem(about, describe(&error), advice));
                return checks;
            }
        };
        let running = members.ok().and_then(|list| {
            let group = list.groups().first()?;
            Some(format!("{} members, {}", group.members().len(), group.state().to_lowercase()))
        });
        let running = running.unwrap_or_else(|| "members not known".to_owned());
        let (mut lag, mut begun, mut lost) = (0, 0, Vec::new());
        for ((partition, bounds), next) in (0..).map(PartitionId).zip(&ends).zip(committed) {
            begun += u32::from(next.is_some());
            let next = next.unwrap_or(bounds.start);
            if next < bounds.start {
                lost.push(partition.to_string());
            }
            lag += bounds.end.since(next);
        }
        if !lost.is_empty() {
            let found = format!(
                "{running}; records behind its commits are deleted already in partitions {}",
                lost.join(", ")
            );
            let advice = "give the topic a longer retention; what is gone stays unread, and state must be made anew: churnstream rebuild";
            checks.push(Check::problem(about, found, advice));
            return checks;
        }
        if let Some(topic) = (begun == 0).then(|| self.written_by_others(purpose)).flatten() {
            let found = format!(
                "{running}; has committed nothing yet, and {topic} holds records: they are another group's"
            );
            let advice = "a consumer refuses to write beside them: name their --group, or give other outputs (kafka:BROKERS/PREFIX)";
            checks.push(Check::problem(about, found, advice));
            return checks;
        }
        let found = if begun == 0 {
            format!("{running}; has committed nothing yet, {lag} records wait")
        } else {
            format!("{running}; lag {lag} records, {begun} of {partitions} partitions begun")
        };
        checks.push(Check::ok(about, found));
        checks
    }

    /// The first output that holds records.
    fn written_by_others(&self, purpose: &Purpose) -> Option<String> {
        let holds = |topic: &String| {
            let Ok(Some(partitions)) = self.partitions(topic) else { return false };
            (0..partitions).map(PartitionId).any(|partition| {
                let Ok(bounds) = self.ends(topic, partition) else { return false };
                let mut block = crate::RecordBuf::default();
                let mut reader = self.open_reader(topic, partition, bounds.start);
                bounds.start < bounds.end
                    && crate::PartitionReader::read(&mut reader, &mut block, 1).is_ok_and(|read| read > 0)
            })
        };
        purpose.outputs.iter().map(|topic| self.name(topic)).find(holds)
    }

    /// Reads one record, if there is one.
    fn check_reading(&self, topic: &str, ends: &[crate::Bounds]) -> Check {
        let about = format!("read {topic}");
        let records: u64 = ends.iter().map(|bounds| bounds.end.since(bounds.start)).sum();
        let Some((partition, bounds)) =
            (0..).map(PartitionId).zip(ends).find(|(_, bounds)| bounds.start < bounds.end)
        else {
            return Check::ok(about, "no records yet");
        };
        let mut block = crate::RecordBuf::default();
        let mut reader = self.open_reader(topic, partition, bounds.start);
        match crate::PartitionReader::read(&mut reader, &mut block, 1) {
            Ok(_) => Check::ok(about, format!("{records} records")),
            Err(error) => Check::problem(about, error.to_string(), rights("topic", topic, "Read")),
        }
    }
}

fn describe(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::GroupAuthorizationFailed) => "no right to be in it".to_owned(),
        _ => error.to_string(),
    }
}
