//! Topics that others made on a real broker: what would lose records is refused, with the command that helps.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use partition_log::checkup::{Purpose, Verdict};
use partition_log::conformance::broker::{self, Brokers};
use partition_log::conformance::drain;
use partition_log::{KafkaLog, Log, LogOptions, TopicConfig};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, TopicPartitionList};
use types::{EventTime, Offset, PartitionId};

const P0: PartitionId = PartitionId(0);

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn log(brokers: &Brokers) -> KafkaLog {
    KafkaLog::new(&brokers.bootstrap, &LogOptions::default()).unwrap()
}

fn config(partitions: u32) -> TopicConfig {
    TopicConfig { partitions, key: "user".into(), partitioner: "murmur2".into() }
}

fn admin(brokers: &Brokers) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &brokers.bootstrap).create().unwrap()
}

/// Makes a topic as somebody would who knows nothing of churnstream.
fn others_topic(brokers: &Brokers, name: &str, settings: &[(&str, &str)]) -> String {
    let name = format!("{name}-{}", now());
    let mut new = NewTopic::new(&name, 2, TopicReplication::Fixed(1));
    for (setting, value) in settings {
        new = new.set(setting, value);
    }
    let made =
        futures_executor::block_on(admin(brokers).create_topics([&new], &AdminOptions::new())).unwrap();
    made.into_iter().next().unwrap().unwrap();
    let deadline = SystemTime::now() + Duration::from_secs(30);
    while log(brokers).topic(&name).unwrap().is_none() {
        assert!(SystemTime::now() < deadline);
    }
    name
}

/// Runs Kafka's own tool for settings.
fn configure<'a>(arguments: impl Iterator<Item = &'a str>) {
    let tool = ["tool", "org.apache.kafka.tools.ConfigCommand"];
    let done = broker::script().args(tool).args(arguments).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn a_broker_that_forgets_producers_too_soon_is_found_and_the_advice_mends_it() {
    // Of its own: its settings are changed.
    let Some(brokers) = broker::start(1) else { return };
    let purpose = Purpose {
        events: "events".into(),
        outputs: vec![],
        compacted: vec![],
        group: "g".into(),
        try_writing: false,
    };
    let kafka = log(&brokers);
    let found = || {
        let checks = kafka.checkup(&purpose);
        checks.into_iter().find(|check| check.found.contains("producer.id.expiration.ms"))
    };
    // What is set is not known everywhere at once.
    let wait_for = |wanted: bool| {
        let deadline = SystemTime::now() + Duration::from_secs(60);
        loop {
            let found = found();
            if found.is_some() == wanted {
                return found;
            }
            assert!(SystemTime::now() < deadline, "{found:?}");
        }
    };
    assert_eq!(found(), None, "a day, if nobody says otherwise");
    let address = &brokers.bootstrap;
    let short = format!(
        "--bootstrap-server {address} --alter --entity-type brokers --entity-default --add-config producer.id.expiration.ms=60000"
    );
    configure(short.split_whitespace());
    let check = wait_for(true).unwrap();
    assert_eq!(check.verdict, Verdict::Problem);
    configure(check.advice.strip_prefix("kafka-configs.sh ").unwrap().split_whitespace());
    wait_for(false);
    broker::stop(&brokers);
}

#[test]
fn a_brokers_defaults_are_refused_and_the_command_in_the_error_mends_them() {
    let Some(brokers) = broker::shared() else { return };
    let topic = others_topic(brokers, "others", &[]);
    let kafka = log(brokers);
    let error = kafka.create_topic(&topic, &config(2)).unwrap_err().to_string();
    assert!(
        error.contains("retention.ms is 604800000") && error.contains("after.max.ms is 3600000"),
        "{error}"
    );
    let (_, command) = error.split_once("kafka-configs.sh ").unwrap();
    configure(command.split_whitespace().map(|word| word.trim_end_matches('.')).take(9));
    kafka.create_topic(&topic, &config(2)).unwrap();
    let mut writer = kafka.writer(&topic).unwrap().partition(P0).unwrap();
    writer.append(EventTime(1), b"u1", b"old", &[]).unwrap();
    writer.append(EventTime(now() + 86_400_000), b"u1", b"ahead", &[]).unwrap();
    writer.sync().unwrap();
}

#[test]
fn what_is_written_late_keeps_its_time_and_is_kept_from_then_on() {
    let Some(brokers) = broker::shared() else { return };
    let chosen = [("retention.ms", "86400000"), ("message.timestamp.after.max.ms", "9223372036854775807")];
    let topic = others_topic(brokers, "chosen", &chosen);
    let kafka = log(brokers);
    kafka.create_topic(&topic, &config(2)).unwrap();
    let mut writer = kafka.writer(&topic).unwrap().partition(P0).unwrap();
    let begun = now();
    let times = [i64::MIN, 0, 90_000_000, begun - 3_600_000, begun - 1_000, begun + 3_600_000];
    for time in times {
        writer.append(EventTime(time), b"u1", b"old", &[("cs-source", b"a:1")]).unwrap();
    }
    writer.sync().unwrap();
    let rows = drain(&mut *kafka.reader(&topic, P0, Offset::ZERO).unwrap());
    assert_eq!(rows.iter().map(|row| row.1).collect::<Vec<_>>(), times);
    assert!(rows.iter().all(|row| row.4 == [(b"cs-source".to_vec(), b"a:1".to_vec())]), "{rows:?}");
    for (index, time) in (0..).zip(times) {
        assert_eq!(kafka.offset_at(&topic, P0, EventTime(time)).unwrap(), Offset(index));
    }
    // The broker, which deletes by its own times, has those of writing.
    let asker: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &brokers.bootstrap)
        .set("group.id", "times")
        .create()
        .unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition_offset(&topic, 0, rdkafka::Offset::Offset(begun - 120_000)).unwrap();
    let found = asker.offsets_for_times(asked, Duration::from_secs(30)).unwrap();
    assert_eq!(found.elements()[0].offset(), rdkafka::Offset::Offset(0));
}

#[test]
fn a_compacted_topic_is_no_log() {
    let Some(brokers) = broker::shared() else { return };
    let topic = others_topic(brokers, "compacted", &[("cleanup.policy", "compact")]);
    let kafka = log(brokers);
    for error in [kafka.check_input(&topic).unwrap_err(), kafka.create_topic(&topic, &config(2)).unwrap_err()]
    {
        let error = error.to_string();
        assert!(
            error.contains("newest record of each key") && error.contains("cleanup.policy=delete"),
            "{error}"
        );
    }
}

#[test]
fn more_partitions_than_a_topic_was_made_with_are_refused() {
    let Some(brokers) = broker::shared() else { return };
    let topic = format!("grown-{}", now());
    log(brokers).create_topic(&topic, &config(2)).unwrap();
    let grown = [NewPartitions::new(&topic, 3)];
    futures_executor::block_on(admin(brokers).create_partitions(&grown, &AdminOptions::new())).unwrap();
    let deadline = SystemTime::now() + Duration::from_secs(30);
    let error = loop {
        assert!(SystemTime::now() < deadline, "the third partition is not seen");
        if let Err(error) = log(brokers).topic(&topic) {
            break error.to_string();
        }
    };
    assert!(error.contains("made with 2 partitions and has 3") && error.contains("repartition"), "{error}");
    let kafka = log(brokers);
    assert!(kafka.writer(&topic).is_err() && kafka.create_topic(&topic, &config(3)).is_err());
    let purpose = Purpose {
        events: topic.clone(),
        outputs: vec![],
        compacted: vec![],
        group: "g".into(),
        try_writing: false,
    };
    let found = kafka.checkup(&purpose);
    let check = found.iter().find(|check| check.about == format!("topic {topic}")).unwrap();
    assert_eq!(check.verdict, Verdict::Problem, "{found:?}");
}

#[test]
fn several_that_begin_together_make_a_topic_once() {
    let Some(brokers) = broker::shared() else { return };
    let logs: Vec<KafkaLog> = (0..12).map(|_| log(brokers)).collect();
    // The moments that matter are short: some topics, and those who make one are a little apart.
    for round in 0..4 {
        let topic = format!("together-{round}-{}", now());
        std::thread::scope(|scope| {
            for (late, kafka) in (0..).zip(&logs) {
                let topic = &topic;
                scope.spawn(move || {
                    std::thread::sleep(Duration::from_millis(late * 20));
                    kafka.create_topic(topic, &config(1)).unwrap();
                });
            }
        });
        assert_eq!(log(brokers).topic(&topic).unwrap(), Some(config(1)));
    }
}

#[test]
fn topics_have_the_replicas_that_the_brokers_default_says() {
    // Of its own: its settings are changed.
    let Some(brokers) = broker::start(3) else { return };
    let of = |topic: &str| {
        let asker: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", &brokers.bootstrap).create().unwrap();
        let found = asker.fetch_metadata(Some(topic), Duration::from_secs(30)).unwrap();
        found.topics()[0].partitions()[0].replicas().len()
    };
    log(&brokers).create_topic("three", &config(1)).unwrap();
    assert_eq!(of("three"), 3, "as scripts/kafka tells the brokers");
    let address = &brokers.bootstrap;
    let dir = brokers.dir.as_deref().unwrap();
    for number in 1..=3 {
        let path = dir.join(format!("broker-{number}.properties"));
        let text = std::fs::read_to_string(&path).unwrap();
        let two = text.replace("default.replication.factor=3", "default.replication.factor=2");
        assert_ne!(two, text);
        std::fs::write(&path, two).unwrap();
        brokers.signal(number, "KILL");
        brokers.restart(number);
    }
    let kafka = log(&brokers);
    kafka.create_topic("two", &config(1)).unwrap();
    assert_eq!(of("two"), 2, "{address}: fewer than there are brokers, as they say");
    let purpose = Purpose {
        events: "two".into(),
        outputs: vec![],
        compacted: vec![],
        group: "g".into(),
        try_writing: true,
    };
    let checks = kafka.checkup(&purpose);
    let about =
        |check: &&partition_log::checkup::Check| ["topic two", "write"].contains(&check.about.as_str());
    let found: Vec<_> = checks.iter().filter(about).collect();
    assert!(found.len() >= 2 && found.iter().all(|check| check.verdict == Verdict::Ok), "{checks:?}");
    broker::stop(&brokers);
}
