//! TLS, client certificates, user and password, and rights, on a real broker. And no secret in any word of ours.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use partition_log::backends::kafka::Settings;
use partition_log::checkup::{Purpose, Verdict};
use partition_log::conformance::broker;
use partition_log::{KafkaLog, Log, LogError, LogOptions, RecordBuf, TopicConfig};
use types::{EventTime, Offset, PartitionId};

const P0: PartitionId = PartitionId(0);

fn text(dir: &Path, name: &str) -> String {
    std::fs::read_to_string(dir.join(name)).unwrap().trim().to_owned()
}

/// A log on one of the broker's listeners, with settings given as variables.
fn open(dir: &Path, listener: &str, settings: &[(&str, &str)]) -> KafkaLog {
    let variables = settings.iter().map(|(setting, value)| {
        (format!("CHURNSTREAM_KAFKA_{}", setting.to_ascii_uppercase().replace('.', "_")), (*value).to_owned())
    });
    let settings = Settings::from_variables(variables).unwrap();
    KafkaLog::with_settings(&text(dir, &format!("bootstrap-{listener}")), &LogOptions::default(), settings)
        .unwrap()
}

fn write_and_read(log: &KafkaLog, topic: &str) -> Result<(), LogError> {
    let config = TopicConfig { partitions: 1, key: "user".into(), partitioner: "murmur2".into() };
    log.create_topic(topic, &config)?;
    let mut writer = log.writer(topic)?.partition(P0)?;
    writer.append(EventTime(1_700_000_000_000), b"u1", b"hello", &[])?;
    writer.sync()?;
    let mut records = RecordBuf::default();
    log.reader(topic, P0, Offset::ZERO)?.read(&mut records, 1 << 20)?;
    assert_eq!(records.get(0).unwrap().value, b"hello");
    Ok(())
}

/// What is said of it, quickly.
fn brokers_of(log: &KafkaLog, try_writing: bool) -> Vec<(String, Verdict, String)> {
    let purpose = Purpose {
        events: "tls".into(),
        outputs: vec!["scores".into(), "dead-letters".into()],
        compacted: vec!["snapshots".into()],
        group: "churnstream-tls".into(),
        try_writing,
    };
    let checks = log.checkup(&purpose);
    checks
        .into_iter()
        .map(|check| (check.about, check.verdict, format!("{} {}", check.found, check.advice)))
        .collect()
}

/// One who has some of the rights is told by name which are missing, with the command that gives them: it is run as it stands there.
fn rights_to_write(bootstrap: &str, dir: &Path, ca: &str, password: &str) {
    let config = TopicConfig { partitions: 1, key: "user".into(), partitioner: "murmur2".into() };
    let ann = open(dir, "tls", &[("security.protocol", "ssl"), ("ssl.ca.location", ca)]);
    ["scores", "dead-letters"].iter().for_each(|topic| ann.create_topic(topic, &config).unwrap());
    let grant = |command: &str| {
        let arguments = command.strip_prefix("kafka-acls.sh ").unwrap().replace("User:YOURS", "User:bob");
        let done = broker::script()
            .args(["tool", "org.apache.kafka.tools.AclCommand", "--bootstrap-server", bootstrap])
            .args(arguments.split(' '))
            .output()
            .unwrap();
        assert!(done.status.success(), "{command}: {done:?}");
    };
    let of_all = ["Create", "Describe", "DescribeConfigs", "Read", "Delete"]
        .map(|right| format!(" --operation {right}"));
    grant(&format!("kafka-acls.sh --add --allow-principal User:YOURS --topic *{}", of_all.concat()));
    grant("kafka-acls.sh --add --allow-principal User:YOURS --group churnstream-tls --operation Read");
    grant(
        "kafka-acls.sh --add --allow-principal User:YOURS --topic churnstream-doctor- --resource-pattern-type prefixed --operation Write",
    );
    let settings = [
        ("security.protocol", "sasl_ssl"),
        ("ssl.ca.location", ca),
        ("sasl.mechanisms", "PLAIN"),
        ("sasl.username", "bob"),
        ("sasl.password", password),
    ];
    // What is missing is found one after the other.
    let mut missing: Vec<String> = Vec::new();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let checks = brokers_of(&open(dir, "sasl", &settings), true);
        let Some((about, _, said)) = checks.iter().find(|(_, verdict, _)| *verdict == Verdict::Problem)
        else {
            break;
        };
        // A broker takes a moment to hear of what was granted.
        if missing.last() == Some(about) && std::time::Instant::now() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(200));
            continue;
        }
        assert!(missing.len() < 5 && said.contains("uthorization"), "{missing:?}: {checks:?}");
        missing.push(about.clone());
        let (_, command) = said.split_once("kafka-acls.sh").unwrap();
        grant(&format!("kafka-acls.sh{command}"));
    }
    assert_eq!(missing, ["transactions", "write scores", "write dead-letters"]);
}

#[test]
fn the_broker_is_spoken_to_in_secret_and_by_name() {
    let Some(brokers) = broker::start_secure() else { return };
    let dir = brokers.dir.as_deref().unwrap();
    let at = |name: &str| dir.join(name).display().to_string();
    let (ca, password) = (at("ca.pem"), text(dir, "password"));
    let tls = [("security.protocol", "ssl"), ("ssl.ca.location", &*ca)];

    write_and_read(&open(dir, "tls", &tls), "tls").unwrap();

    // An authority that is not known, and a listener that wants a certificate.
    let stranger = brokers_of(&open(dir, "tls", &[("security.protocol", "ssl")]), false);
    let (about, verdict, said) = stranger.last().unwrap();
    assert_eq!((about.as_str(), *verdict), ("brokers", Verdict::Problem));
    assert!(said.contains("certificate verify failed") && said.contains("ssl.ca.location"), "{said}");
    let nameless = brokers_of(&open(dir, "mtls", &tls), false);
    assert_eq!(nameless.last().unwrap().1, Verdict::Problem, "{nameless:?}");
    let (certificate, key) = (at("client.pem"), at("client.key"));
    let mtls =
        [&tls[..], &[("ssl.certificate.location", &*certificate), ("ssl.key.location", &*key)]].concat();
    write_and_read(&open(dir, "mtls", &mtls), "mtls").unwrap();

    for mechanism in ["SCRAM-SHA-512", "PLAIN"] {
        let user = |name, password| {
            open(
                dir,
                "sasl",
                &[
                    ("security.protocol", "sasl_ssl"),
                    ("ssl.ca.location", &ca),
                    ("sasl.mechanisms", mechanism),
                    ("sasl.username", name),
                    ("sasl.password", password),
                ],
            )
        };
        write_and_read(&user("ann", &password), &format!("sasl-{mechanism}")).unwrap();
        let wrong = brokers_of(&user("ann", "hush-hush"), false);
        let (_, verdict, said) = wrong.last().unwrap();
        assert_eq!(*verdict, Verdict::Problem);
        assert!(said.contains("uthentication failed") && said.contains("sasl.password"), "{said}");
        assert!(!format!("{wrong:?}").contains("hush-hush"), "{wrong:?}");
        if mechanism == "PLAIN" {
            // Known, and without any right.
            let bob = brokers_of(&user("bob", &password), true);
            assert!(
                bob.iter().any(|(about, verdict, _)| about == "topic tls" && *verdict == Verdict::Problem),
                "{bob:?}"
            );
            assert!(
                bob.iter().any(|(about, verdict, said)| about == "write"
                    && *verdict == Verdict::Problem
                    && said.contains("uthorization")),
                "{bob:?}"
            );
        }
    }
    rights_to_write(brokers.bootstrap.as_str(), dir, &ca, &password);
    let well = brokers_of(&open(dir, "tls", &tls), true);
    assert!(well.iter().all(|(_, verdict, _)| *verdict == Verdict::Ok), "{well:?}");
    let clock = &well.iter().find(|(about, ..)| about == "clock").unwrap().2;
    assert!(clock.contains("ms ahead of this machine's"), "{clock}");
    broker::stop(&brokers);
}
