//! `churnstream doctor`, as users run it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bounded;

use std::process::{Command, Output};

use partition_log::conformance::broker;
use partition_log::{KafkaLog, Log, LogOptions, TopicConfig};
use types::{EventTime, PartitionId};

fn churnstream(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_churnstream"));
    command.args(arguments).env_remove("CHURNSTREAM_KAFKA_CONFIG").envs(variables.iter().copied());
    bounded::output(&mut command)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// How many lines librdkafka's debugging made.
fn debug_lines(said: &str) -> usize {
    said.lines().filter(|line| line.contains("DEBUG") && line.contains("facility=")).count()
}

/// A topic as others make it, with Kafka's own tool.
fn others_topic(brokers: &broker::Brokers, topic: &str, config: &str) {
    let made = broker::script()
        .args(["tool", "org.apache.kafka.tools.TopicCommand", "--bootstrap-server", &brokers.bootstrap])
        .args(["--create", "--topic", topic, "--partitions", "2", "--config", config])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

#[test]
fn where_nobody_listens_it_says_so_and_keeps_the_password() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let place = format!("kafka:{free}");
    let secrets = [
        ("CHURNSTREAM_KAFKA_SECURITY_PROTOCOL", "sasl_plaintext"),
        ("CHURNSTREAM_KAFKA_SASL_MECHANISM", "PLAIN"),
        ("CHURNSTREAM_KAFKA_SASL_USERNAME", "ann-7261"),
        ("CHURNSTREAM_KAFKA_SASL_PASSWORD", "hush-9918"),
        ("CHURNSTREAM_KAFKA_DEBUG", "all"),
        ("RUST_LOG", "trace"),
    ];
    let output = churnstream(&["doctor", "--from", &place], &secrets);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("problem  brokers") && said.contains("refused") && said.contains("-> "), "{said}");
    assert!(
        said.contains("sasl.password") && !said.contains("hush-9918") && !said.contains("ann-7261"),
        "{said}"
    );
    assert!(debug_lines(&said) > 10, "{said}");

    let output = churnstream(&["doctor", "--from", &place, "--json"], &secrets);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verdict"], "problem");
    assert_eq!(report["checks"][1]["about"], "brokers");

    for arguments in [&["--help"][..], &["doctor", "--help"]] {
        let said = text(&churnstream(arguments, &secrets));
        assert!(said.contains("doctor") && !said.contains("hush-9918"), "{said}");
    }
}

#[test]
fn a_command_that_waits_for_brokers_says_so_once_and_fails_in_time() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = churnstream(&["scores", "tail", "--no-follow", "--from", &format!("kafka:{free}")], &[]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(
        said.matches(&format!("no broker answers at {free} yet; trying for another ")).count(),
        1,
        "{said}"
    );
}

#[test]
fn settings_that_cannot_be_are_named_without_their_values() {
    let isolation = [("CHURNSTREAM_KAFKA_ISOLATION_LEVEL", "hush-1")];
    let misspelt = [("CHURNSTREAM_KAFKA_SASL_PASSWROD", "hush-1")];
    let impossible = [("CHURNSTREAM_KAFKA_SECURITY_PROTOCOL", "hush-1")];
    for (variables, word) in
        [(isolation, "aborted"), (misspelt, "sasl.passwrod"), (impossible, "security.protocol")]
    {
        let output = churnstream(&["doctor", "--from", "kafka:127.0.0.1:1"], &variables);
        let said = text(&output);
        assert!(output.status.code() == Some(1) && said.contains(word) && !said.contains("hush"), "{said}");
    }
    let output = churnstream(&["doctor", "--from", "kafka:ann:hush-1@127.0.0.1:1"], &[]);
    let said = text(&output);
    assert!(!output.status.success() && said.contains("sasl.password") && !said.contains("hush"), "{said}");
}

#[test]
fn a_log_in_files_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let place = format!("file:{}", dir.path().display());
    let output = churnstream(&["doctor", "--from", &place], &[]);
    let said = text(&output);
    assert!(output.status.code() == Some(1) && said.contains("problem  topic events"), "{said}");
}

#[test]
fn a_broker_is_looked_at() {
    let Some(brokers) = broker::shared() else { return };
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let place = format!("{}/doctor-{nanos}.", brokers.bootstrap);
    let log = KafkaLog::new(&place, &LogOptions::default()).unwrap();
    log.create_topic(
        "events",
        &TopicConfig { partitions: 2, key: "user".into(), partitioner: "murmur2".into() },
    )
    .unwrap();
    let mut writer = log.writer("events").unwrap().partition(PartitionId(0)).unwrap();
    for _ in 0..3 {
        writer.append(EventTime(1_700_000_000_000), b"u1", b"{}", &[]).unwrap();
    }
    writer.sync().unwrap();
    let place = format!("kafka:{place}");
    let output = churnstream(&["doctor", "--from", &place, "--try-writing"], &[]);
    let said = text(&output);
    assert!(output.status.success() && said.ends_with("all is well\n"), "{said}");
    for words in [
        "2 partitions, key user",
        "has committed nothing yet, 3 records wait",
        "ms ahead of this machine's (within",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!log.topics().unwrap().iter().any(|topic| topic.starts_with("churnstream-doctor")));
    let output = churnstream(&["doctor", "--from", &place, "--topic", "absent"], &[]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));

    let outputs = TopicConfig { partitions: 2, key: "user".into(), partitioner: "explicit".into() };
    log.create_topic("scores", &outputs).unwrap();
    let mut writer = log.writer("scores").unwrap().partition(PartitionId(1)).unwrap();
    writer.append(EventTime(1_700_000_000_000), b"u1", b"{}", &[]).unwrap();
    writer.sync().unwrap();
    let output = churnstream(&["doctor", "--from", &place], &[]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("scores holds records: they are another group's"), "{said}");

    // The brokers remove what is old: what would is named.
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().display().to_string();
    let output = churnstream(
        &["log", "retain", &format!("{place}/events"), "--older-than", "90d", "--store", &store],
        &[],
    );
    let said = text(&output);
    assert!(
        !output.status.success() && said.contains(".events --add-config retention.ms=7776000000"),
        "{said}"
    );
}

#[test]
fn how_long_records_of_others_stay_is_told() {
    let Some(brokers) = broker::shared() else { return };
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let place = format!("kafka:{}", brokers.bootstrap);
    for (ms, words, short) in
        [("3600000", "records are kept for 1 hour", true), ("604800000", "for 7 days", false)]
    {
        let topic = format!("foreign-{nanos}-{ms}");
        others_topic(brokers, &topic, &format!("retention.ms={ms}"));
        let output = churnstream(&["doctor", "--from", &place, "--topic", &topic], &[]);
        let said = text(&output);
        let line = said.lines().find(|line| line.contains(&format!("topic {topic}: "))).unwrap();
        assert!(
            output.status.success() && line.contains(words) && !said.contains("keep everything"),
            "{said}"
        );
        assert_eq!(line.starts_with("warning"), short, "{said}");
        assert_eq!(said.contains("a consumer that is away for longer loses events"), short, "{said}");
    }
}

#[test]
fn all_that_librdkafka_says_of_a_secure_connection_has_no_secret_in_it() {
    let Some(brokers) = broker::start_secure() else { return };
    let dir = brokers.dir.as_deref().unwrap();
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap().trim().to_owned();
    let (place, password) = (format!("kafka:{}", read("bootstrap-sasl")), read("password"));
    let ca = dir.join("ca.pem").display().to_string();
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        let variables = [
            ("CHURNSTREAM_KAFKA_SECURITY_PROTOCOL", "sasl_ssl"),
            ("CHURNSTREAM_KAFKA_SSL_CA_LOCATION", &*ca),
            ("CHURNSTREAM_KAFKA_SASL_MECHANISM", mechanism),
            ("CHURNSTREAM_KAFKA_SASL_USERNAME", "ann"),
            ("CHURNSTREAM_KAFKA_SASL_PASSWORD", &*password),
            ("CHURNSTREAM_KAFKA_DEBUG", "all"),
            ("RUST_LOG", "debug"),
        ];
        let output = churnstream(&["doctor", "--from", &place, "--try-writing"], &variables);
        let said = text(&output);
        assert!(said.contains("SASL") && debug_lines(&said) > 100, "{said}");
        assert!(said.contains("a topic was made, written to and removed"), "{said}");
        assert!(!said.contains(&password), "{said}");
        let user =
            said.lines().find(|line| line.split(|c: char| !c.is_alphanumeric()).any(|word| word == "ann"));
        assert_eq!(user, None);
    }
    broker::stop(&brokers);
}

#[test]
fn a_map_is_tried_on_the_newest_records() {
    let dir = tempfile::tempdir().unwrap();
    let place = format!("file:{}", dir.path().join("log").display());
    let log = partition_log::open(&place, &LogOptions::default()).unwrap();
    let config = TopicConfig { partitions: 1, key: "user".into(), partitioner: "murmur2".into() };
    log.create_topic("clicks", &config).unwrap();
    let mut writer = log.writer("clicks").unwrap().partition(PartitionId(0)).unwrap();
    for value in
        [r#"{"who":"u1","at":1700000000000,"did":"play"}"#, r#"{"who":"u1","at":"soon","did":"play"}"#]
    {
        writer.append(EventTime(1_700_000_000_000), b"u1", value.as_bytes(), &[]).unwrap();
    }
    writer.sync().unwrap();
    let map = dir.path().join("map.toml");
    let doctor = |text_of_map: &str| {
        std::fs::write(&map, text_of_map).unwrap();
        let map = map.display().to_string();
        let arguments = ["doctor", "--from", &place, "--topic", "clicks", "--map", &map];
        text(&churnstream(&arguments, &[]))
    };
    const MAP: &str = "[entity]\ntype = \"user\"\nid = \"who\"\n[time]\ncolumn = \"at\"\nformat = \"ms\"\n[type]\ncolumn = \"did\"\n";
    let said = doctor(MAP);
    assert!(said.contains("warning  newest records: of 2 records 1 are events"), "{said}");
    assert!(said.contains("1 cannot be read, the first: ") && said.contains("`at`"), "{said}");
    let said = doctor(&format!("format = \"confluent\"\n{MAP}"));
    assert!(said.contains("problem  map: ") && said.contains("schema registry"), "{said}");
}

/// What a log holds may be wrong although every topic is there.
#[test]
fn what_is_in_files_is_looked_at_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let place = format!("file:{}", path("log"));
    let log =
        partition_log::open(&place, &LogOptions { segment_bytes: 400, ..LogOptions::default() }).unwrap();
    let config = TopicConfig { partitions: 1, key: "user".into(), partitioner: "murmur2".into() };
    let write = |topic: &str, count: i64| {
        log.create_topic(topic, &config).unwrap();
        let mut writer = log.writer(topic).unwrap().partition(PartitionId(0)).unwrap();
        for n in 0..count {
            writer.append(EventTime(1_700_000_000_000 + n), b"u1", b"{}", &[]).unwrap();
            writer.flush().unwrap();
        }
        writer.sync().unwrap();
    };
    write("events", 40);
    write("scores", 1);
    let doctor = |more: &[&str]| text(&churnstream(&[&["doctor", "--from", &place], more].concat(), &[]));
    let said = doctor(&[]);
    assert!(
        said.contains("bytes of events: all as they were written") && said.ends_with("all is well\n"),
        "{said}"
    );

    for (entity, verdict) in [("user", "all is well"), ("account", "problem  key: `events` is keyed by user")]
    {
        let spec = format!(
            "version = 1\nentity = \"{entity}\"\n[inputs.plays]\nevents = \"play\"\n[[features]]\ninput = \"plays\"\nops = \"count\"\nwindows = \"7d\"\n"
        );
        std::fs::write(dir.path().join("spec.toml"), spec).unwrap();
        let said = doctor(&["--features", &path("spec.toml")]);
        assert!(said.contains(verdict), "{said}");
    }

    // A store that has read 30 of the 40 records, and one of another topic.
    let commit = |topic: &str, next: u64| {
        let (spec_hash, partitions) = ("0".repeat(16), 1);
        let identity = feature_store::StoreIdentity { spec_hash, topic: topic.to_owned(), partitions };
        let store = feature_store::Store::open(
            &dir.path().join(topic),
            &identity,
            feature_store::StoreOptions::default(),
        )
        .unwrap();
        let mut users = store.partition::<feature_store::UserState>(PartitionId(0)).unwrap();
        let (outputs, next_input) = (std::collections::BTreeMap::new(), types::Offset(next));
        users.commit(feature_store::store::Commit { next_input, outputs, sweep: None }).unwrap();
    };
    commit("events", 30);
    commit("clicks", 30);
    let said = doctor(&["--store", &path("events")]);
    assert!(said.contains("consumer: none runs; 10 records wait"), "{said}");
    let said = doctor(&["--store", &path("clicks")]);
    assert!(said.contains("problem  consumer: ") && said.contains("was made from `clicks`"), "{said}");

    write("dead-letters", 5);
    let said = doctor(&[]);
    assert!(
        said.contains("warning  dead letters: 5, of 40 records that ever came") && said.contains("log dump"),
        "{said}"
    );
    write("dead-letters", 20);
    let said = doctor(&[]);
    assert!(said.contains("warning  dead letters: 25, of 40 records that ever came"), "{said}");

    let segments = || {
        let all =
            std::fs::read_dir(dir.path().join("log/events-0")).unwrap().map(|entry| entry.unwrap().path());
        let mut all: Vec<_> = all.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
        all.sort();
        all
    };
    let damaged = &segments()[1];
    let mut bytes = std::fs::read(damaged).unwrap();
    bytes[70] ^= 1;
    std::fs::write(damaged, bytes).unwrap();
    let said = doctor(&[]);
    assert!(
        said.contains("problem  bytes of events: events-0 offset ") && said.contains("log verify"),
        "{said}"
    );
}
