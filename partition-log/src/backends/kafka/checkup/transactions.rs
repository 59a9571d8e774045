//! The right to write in transactions: to begin them, and to each topic that a consumer writes to.
//!
//! Each topic gets a transaction of its own, which is aborted at once: brokers refuse all topics of a transaction for one of them, and where
//! a consumer runs, its readers wait for the end of every transaction.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};

use super::super::KafkaLog;
use super::super::closing::{Nothing, SETTLED_KEY};
use super::super::connect::let_go;
use super::super::said::say;
use super::FIND;
use super::topics::rights;
use crate::checkup::{Check, Purpose};

/// How long the cause of a failure may come behind it.
const CAUSE: Duration = Duration::from_millis(500);

/// What became of a record.
enum Fate {
    Arrived,
    Failed(String),
    /// Why the transaction cannot go on. librdkafka tells it only here and to whoever commits.
    Refused(String),
}

/// Passes on what became of records.
struct Fates(Sender<Fate>);

impl ClientContext for Fates {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "TXNERR" {
            let _ = self.0.send(Fate::Refused(message.to_owned()));
        }
        say(level, facility, message);
    }
}

impl ProducerContext for Fates {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let _ = self.0.send(match result {
            Ok(_) => Fate::Arrived,
            Err((error, _)) => Fate::Failed(error.to_string()),
        });
    }
}

impl KafkaLog {
    /// Begins transactions, writes to what a consumer writes to, and aborts.
    pub(super) fn try_transactions(&self, purpose: &Purpose) -> Vec<Check> {
        let about = "transactions";
        let (fates, heard) = channel();
        let made = self
            .connect
            .producer_config("none")
            .set("transactional.id", format!("{}-doctor", purpose.group))
            .set("transaction.timeout.ms", FIND.as_millis().to_string())
            .set("message.timeout.ms", FIND.as_millis().to_string())
            .create_with_context(Fates(fates));
        let producer: BaseProducer<Fates> = match made {
            Ok(producer) => producer,
            Err(error) => {
                return vec![Check::problem(about, self.connect.error("begin", &error).to_string(), "")];
            }
        };
        let mut checks = Vec::new();
        match producer.init_transactions(FIND) {
            Ok(()) => {
                checks.push(Check::ok(about, format!("begun as `{}-doctor`, and aborted", purpose.group)));
                for topic in purpose.outputs.iter().chain(&purpose.compacted).map(|topic| self.name(topic)) {
                    // One that is not there is made by the consumer.
                    if !matches!(self.partitions(&topic), Ok(Some(_))) {
                        continue;
                    }
                    let about = format!("write {topic}");
                    checks.push(match write_and_abort(&producer, &topic, &heard) {
                        Ok(()) => Check::ok(about, "written to in a transaction that was aborted"),
                        Err(why) => Check::problem(about, why, rights("topic", &topic, "Write")),
                    });
                }
            }
            Err(error) => {
                checks.push(Check::problem(about, error.to_string(), advice(&error.to_string(), purpose)));
            }
        }
        let_go("transactional producer", producer);
        checks
    }
}

fn write_and_abort(
    producer: &BaseProducer<Fates>,
    topic: &str,
    heard: &Receiver<Fate>,
) -> Result<(), String> {
    producer.begin_transaction().map_err(|error| error.to_string())?;
    while heard.try_recv().is_ok() {}
    // Readers here pass over it even if it were committed.
    let record: BaseRecord<'_, str, Nothing> = BaseRecord::to(topic).partition(0).key(SETTLED_KEY);
    let sent = match producer.send(record) {
        Ok(()) => fate(producer, heard),
        Err((error, _)) => Err(error.to_string()),
    };
    let aborted = producer.abort_transaction(FIND).map_err(|error| error.to_string());
    sent.and(aborted)
}

fn fate(producer: &BaseProducer<Fates>, heard: &Receiver<Fate>) -> Result<(), String> {
    let mut until = Instant::now() + FIND;
    let mut why = "no broker acknowledged a record in time".to_owned();
    while Instant::now() < until {
        let _ = producer.flush(Duration::from_millis(5));
        producer.poll(Duration::from_millis(5));
        match heard.try_recv() {
            Ok(Fate::Arrived) => return Ok(()),
            Ok(Fate::Refused(cause)) => return Err(cause),
            Ok(Fate::Failed(error)) => (why, until) = (error, Instant::now() + CAUSE),
            Err(_) => {}
        }
    }
    Err(why)
}

/// How to get the right that is missing.
fn advice(found: &str, purpose: &Purpose) -> String {
    if found.contains("luster") {
        return rights("cluster", "", "IdempotentWrite").trim_end().to_owned();
    }
    // Each member's begins with the group's name.
    let id = format!("{}- --resource-pattern-type prefixed", purpose.group);
    rights("transactional-id", &id, "Describe --operation Write")
}
