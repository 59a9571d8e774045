//! The clocks, and the right to write.
//!
//! A broker does not tell its time. It stamps records of a topic that asks for it (`LogAppendTime`) and tells the stamp when it
//! acknowledges the record; so a topic is made for that, written to once, and removed. Without it only this is known: the newest event
//! must not be ahead of our clock.

use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use types::{Offset, PartitionId};

use super::super::KafkaLog;
use super::super::connect::{ASK, let_go};
use super::super::said::say;
use super::super::writer::now;
use super::topics::rights;
use crate::checkup::{Check, Purpose};
use crate::{LogError, PartitionReader as _, RecordBuf};

/// Clocks that differ by more are a warning: events carry them, and features compare them.
const SKEW_MS: i64 = 1_000;
/// Clocks that differ by more are a problem: an event more than a day ahead of its arrival is a dead letter.
const WRONG_MS: i64 = 3_600_000;

/// Passes on how a record was stamped.
struct Stamps(Sender<Result<i64, String>>);

impl ClientContext for Stamps {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        say(level, facility, message);
    }
}

impl ProducerContext for Stamps {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let stamp = match result {
            Ok(message) => message.timestamp().to_millis().ok_or_else(|| "no time was told".to_owned()),
            Err((error, _)) => Err(error.to_string()),
        };
        let _ = self.0.send(stamp);
    }
}

impl KafkaLog {
    /// Makes a topic, writes one record, removes the topic. Tells the rights and the broker's clock.
    pub(super) fn try_writing(&self, purpose: &Purpose) -> Vec<Check> {
        let topic = self.name(&format!("churnstream-doctor-{}-{}", std::process::id(), now()));
        let mut checks = Vec::new();
        let made = self.make_doctors(&topic);
        match &made {
            Ok(()) => checks.push(Check::ok("write", "a topic was made, written to and removed")),
            Err(error) => {
                let advice = rights("topic", &self.name(&purpose.events), "Create");
                checks.push(Check::problem("write", error.to_string(), advice));
                checks.push(self.compare_clocks(purpose));
                return checks;
            }
        }
        match self.skew(&topic) {
            Ok((skew, uncertain)) => checks.push(clock(skew, uncertain)),
            Err(why) => {
                let advice = rights("topic", &self.name(&purpose.events), "Write");
                checks[0] = Check::problem("write", why, advice);
            }
        }
        if let Err(error) = self.remove(&topic) {
            let advice = format!("remove it: kafka-topics.sh --delete --topic {topic}");
            checks.push(Check::warning("write", error.to_string(), advice));
        }
        checks
    }

    fn make_doctors(&self, topic: &str) -> Result<(), LogError> {
        let action = || format!("make topic `{topic}`");
        // As a topic of ours is made: what fails then fails here.
        let replicas = self.replicas_of_ours(topic)?.factor();
        let admin = self.connect.admin()?;
        let new = NewTopic::new(topic, 1, TopicReplication::Fixed(replicas))
            .set("message.timestamp.type", "LogAppendTime")
            .set("retention.ms", "60000");
        let options = AdminOptions::new().request_timeout(Some(ASK)).operation_timeout(Some(ASK));
        let results = futures_executor::block_on(admin.create_topics([&new], &options));
        let_go("admin client", admin);
        match results.map_err(|error| self.connect.error(action(), &error))?.pop() {
            Some(Err((_, error))) => Err(self.connect.failed(action(), error.to_string())),
            _ => Ok(()),
        }
    }

    fn remove(&self, topic: &str) -> Result<(), LogError> {
        let action = || format!("remove topic `{topic}`");
        let admin = self.connect.admin()?;
        let options = AdminOptions::new().request_timeout(Some(ASK)).operation_timeout(Some(ASK));
        let results = futures_executor::block_on(admin.delete_topics(&[topic], &options));
        let_go("admin client", admin);
        match results.map_err(|error| self.connect.error(action(), &error))?.pop() {
            Some(Err((_, error))) => Err(self.connect.failed(action(), error.to_string())),
            _ => Ok(()),
        }
    }

    /// By how many ms the broker's clock is ahead of ours, and how far that may be off.
    fn skew(&self, topic: &str) -> Result<(i64, i64), String> {
        let (stamps, stamped) = channel();
        let made = self.connect.producer_config("none").create_with_context(Stamps(stamps));
        let producer: BaseProducer<Stamps> =
            made.map_err(|error| self.connect.error("write", &error).to_string())?;
        let mut best: Result<(i64, i64), String> = Err("no record was acknowledged".to_owned());
        // The first waits for connections; the quickest tells the most.
        for _ in 0..5 {
            let (before, clock) = (now(), Instant::now());
            if let Err((error, _)) =
                producer.send(BaseRecord::<(), [u8]>::to(topic).payload(b"what time is it?"))
            {
                best = best.or(Err(error.to_string()));
                break;
            }
            let deadline = clock + super::FIND;
            let answer = loop {
                let _ = producer.flush(Duration::from_millis(1));
                match stamped.try_recv() {
                    Ok(answer) => break answer,
                    Err(_) if Instant::now() < deadline => producer.poll(Duration::from_millis(1)),
                    Err(_) => break Err("no record was acknowledged in time".to_owned()),
                };
            };
            let half = i64::try_from(clock.elapsed().as_millis()).unwrap_or(i64::MAX) / 2 + 1;
            match answer {
                Ok(stamp) if best.as_ref().is_ok_and(|(_, best)| *best <= half) => {
                    let _ = stamp;
                }
                Ok(stamp) => best = Ok((stamp - before - half, half)),
                Err(why) => {
                    best = best.or(Err(why));
                    break;
                }
            }
        }
        let_go("producer", producer);
        best
    }

    /// The newest events against our clock.
    pub(super) fn compare_clocks(&self, purpose: &Purpose) -> Check {
        let topic = self.name(&purpose.events);
        let newest = self.newest(&topic);
        let Some(newest) = newest else {
            return Check::ok(
                "clock",
                "not known: there is no record to compare with; --try-writing asks a broker",
            );
        };
        let ahead = newest - now();
        if ahead > SKEW_MS {
            let found = format!("the newest event arrived {ahead} ms ahead of this machine's clock");
            let advice = "set the clocks of producers and of this machine by NTP; --try-writing compares with a broker's";
            return Check::warning("clock", found, advice);
        }
        Check::ok(
            "clock",
            "no event arrived ahead of this machine's clock; --try-writing compares with a broker's",
        )
    }

    fn newest(&self, topic: &str) -> Option<i64> {
        let partitions = self.partitions(topic).ok()??;
        let mut newest = None;
        for partition in (0..partitions).map(PartitionId) {
            let bounds = self.ends(topic, partition).ok()?;
            if bounds.start == bounds.end {
                continue;
            }
            let last = Offset(bounds.end.0 - 1);
            let mut block = RecordBuf::default();
            // A marker of a transaction may stand there: then this partition says nothing.
            let _ = self.open_reader(topic, partition, last).read(&mut block, 1);
            newest = newest.max(block.iter().map(|record| record.timestamp.0).max());
        }
        newest
    }
}

fn clock(skew: i64, uncertain: i64) -> Check {
    let found = format!("the broker's is {skew} ms ahead of this machine's (within {uncertain} ms)");
    let advice = "set both clocks by NTP";
    let beyond = skew.saturating_abs().saturating_sub(uncertain);
    if beyond > WRONG_MS {
        Check::problem("clock", found, advice)
    } else if beyond > SKEW_MS {
        Check::warning("clock", found, advice)
    } else {
        Check::ok("clock", found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkup::Verdict;

    #[test]
    fn clocks_are_judged_beyond_what_is_uncertain() {
        for (skew, uncertain, verdict) in [
            (0, 1, Verdict::Ok),
            (-1_500, 600, Verdict::Ok),
            (-1_500, 400, Verdict::Warning),
            (4_000_000, 5, Verdict::Problem),
        ] {
            assert_eq!(clock(skew, uncertain).verdict, verdict);
        }
    }
}
