//! Bad input never stops the stream and never disappears; signals end the consumer in time, with everything committed.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use consumer::{DEAD_LETTERS, SCORES, SHADOW_SCORES, Status, Surroundings};
use feature_store::{Store, StoreOptions, UserState};
use partition_log::{FileLog, Log, LogOptions, PartitionWriter};
use support::stream::{Appender, BEGIN, DAY, HOUR, Shape};
use support::{EVENTS, World, compare, stream};
use types::{EventTime, PartitionId, headers};

const P0: PartitionId = PartitionId(0);
/// When everything here arrives.
const NOON: i64 = BEGIN.0 + DAY / 2;

/// Key, value, and the reason for which it is set aside.
fn rubbish() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let event = |rest: &str| format!(r#"{{"v":1,"entity_type":"user","entity":"bad",{rest}}}"#).into_bytes();
    let play = |ts: &str, watched: &str| {
        event(&format!(r#""type":"play","ts":{ts},"fields":{{"watch_s":{watched}}}"#))
    };
    let at = NOON.to_string();
    let on_time = |watched: &str| play(&at, watched);
    let mut cases = vec![
        ("bad", b"".to_vec(), "invalid_json"),
        ("bad", b"{\"v\":1,".to_vec(), "invalid_json"),
        ("bad", b"hello, world".to_vec(), "invalid_json"),
        ("bad", b"[1,2,3]".to_vec(), "wrong_type"),
        ("bad", b"null".to_vec(), "wrong_type"),
        ("bad", vec![b'['; 100_000], "wrong_type"),
        ("bad", [event(r#""type":"play","ts":1"#), b"}".to_vec()].concat(), "invalid_json"),
        ("bad", b"{\"v\":1,\"type\":\"pl\xffay\"}".to_vec(), "invalid_utf8"),
        ("bad", event(r#""ts":5"#), "missing_field"),
        ("bad", event(r#""type":"","ts":5"#), "missing_field"),
        ("bad", event(r#""type":"play""#), "missing_field"),
        (
            "bad",
            format!(r#"{{"v":1,"entity_type":"user","type":"play","ts":{at}}}"#).into_bytes(),
            "missing_field",
        ),
        ("bad", format!(r#"{{"v":1,"entity":"bad","type":"play","ts":{at}}}"#).into_bytes(), "missing_field"),
        ("bad", format!(r#"{{"type":"play","ts":{at}}}"#).into_bytes(), "missing_field"),
        ("bad", format!(r#"{{"v":2,"type":"play","ts":{at}}}"#).into_bytes(), "unsupported_version"),
        ("bad", on_time("NaN"), "invalid_json"),
        ("bad", on_time("Infinity"), "invalid_json"),
        ("bad", on_time("-Infinity"), "invalid_json"),
        ("bad", on_time("1e999"), "invalid_json"),
        ("bad", on_time("1e300"), "number_out_of_range"),
        ("bad", on_time("-99999999999999999999999"), "number_out_of_range"),
        ("bad", on_time("9223372036854775807"), "number_out_of_range"),
        ("bad", on_time("\"long\""), "wrong_type"),
        ("bad", play("\"today\"", "1"), "wrong_type"),
        ("bad", play("1e3", "1"), "wrong_type"),
        ("bad", play("99999999999999999999", "1"), "wrong_type"),
        ("bad", play("0", "1"), "time_out_of_range"),
        ("bad", play("-1", "1"), "time_out_of_range"),
        ("bad", play("1700000000", "1"), "time_out_of_range"),
        ("bad", play("9223372036854775807", "1"), "time_out_of_range"),
        ("bad", play("-9223372036854775808", "1"), "time_out_of_range"),
        ("bad", play("7258118400000", "1"), "time_out_of_range"),
        ("bad", play("4102444800000", "1"), "future"),
        ("bad", play(&(NOON + DAY + 1).to_string(), "1"), "future"),
        ("bad", event(&format!(r#""type":"$explode","ts":{at}"#)), "unknown_system_type"),
        ("bad", event(&format!(r#""type":"$merge","ts":{at}"#)), "unknown_system_type"),
        ("bad", event(&format!(r#""type":"$","ts":{at}"#)), "unknown_system_type"),
        ("", br#"{"v":1,"type":"$tick","ts":0}"#.to_vec(), "time_out_of_range"),
        ("", br#"{"v":1,"type":"$tick","ts":9223372036854775807}"#.to_vec(), "time_out_of_range"),
        ("", format!(r#"{{"v":1,"type":"$erase","ts":{at}}}"#).into_bytes(), "missing_field"),
        ("other", event(&format!(r#""type":"$erase","ts":{at}"#)), "key_mismatch"),
        ("other", on_time("1"), "key_mismatch"),
        (
            "bad",
            format!(r#"{{"v":1,"entity_type":"account","entity":"bad","type":"play","ts":{at}}}"#)
                .into_bytes(),
            "wrong_entity_type",
        ),
        (
            "good",
            format!(r#"{{"v":1,"id":"once","entity_type":"user","entity":"good","type":"play","ts":{at}}}"#)
                .into_bytes(),
            "duplicate",
        ),
        (
            "good",
            format!(
                r#"{{"v":1,"id":"once","entity_type":"user","entity":"good","type":"search","ts":{}}}"#,
                NOON - HOUR
            )
            .into_bytes(),
            "duplicate",
        ),
        (
            "good",
            format!(
                r#"{{"v":1,"entity_type":"user","entity":"good","type":"play","ts":{}}}"#,
                NOON - DAY - 1
            )
            .into_bytes(),
            "late",
        ),
    ];
    let mut long =
        event(&format!(r#""type":"play","ts":{at},"fields":{{"genre":"{}""#, "x".repeat(10 << 20)));
    long.push(b'}');
    cases.push(("bad", long, "too_large"));
    cases
}

fn append(writer: &mut dyn PartitionWriter, key: &str, value: &[u8]) -> u64 {
    writer.append(EventTime(NOON), key.as_bytes(), value, &[(headers::SOURCE, b"file:7")]).unwrap().0
}

fn get(url: &str) -> (u16, String) {
    let mut answer = ureq::get(url).config().http_status_as_error(false).build().call().unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        sleep(Duration::from_millis(10));
    }
}

#[test]
fn rubbish_is_set_aside_counted_and_kept_as_it_was_and_the_stream_goes_on() {
    let world = World::new(support::seed());
    drop(world.registry("registry"));
    let log = FileLog::new(world.dir().join("log"), LogOptions::default());
    stream::create(&log, 1);
    let mut topic = log.writer(EVENTS).unwrap();
    let mut writer = topic.partition(P0).unwrap();

    let mut options = world.options("store", "registry");
    options.until_end = false;
    options.http = Some("127.0.0.1:0".parse().unwrap());
    options.scaling.every = Duration::from_millis(50);
    let (log, around): (Arc<dyn Log>, _) = (Arc::new(log), Surroundings::new());
    let running = {
        let (options, log, around) = (options.clone(), Arc::clone(&log), around.clone());
        std::thread::spawn(move || consumer::run(&options, &log, &around))
    };

    // One with fields that nobody knows is as good as any, and the first of its id.
    let known = format!(
        r#"{{"v":1,"id":"once","entity_type":"user","entity":"good","type":"play","ts":{NOON},"fields":{{"new":[{{}}]}},"newer":{{"x":[1]}}}}"#
    );
    append(writer.as_mut(), "good", known.as_bytes());
    let cases = rubbish();
    let mut offsets = Vec::new();
    for (index, (key, value, _)) in cases.iter().enumerate() {
        offsets.push(append(writer.as_mut(), key, value));
        let good = format!(
            r#"{{"v":1,"id":"g{index}","entity_type":"user","entity":"good","type":"play","ts":{NOON}}}"#
        );
        append(writer.as_mut(), "good", good.as_bytes());
    }
    writer.sync().unwrap();
    let end = writer.end();
    wait_until("all is committed", || {
        assert!(!running.is_finished(), "the consumer ended");
        around.status.read().partitions.first().is_some_and(|p| p.committed == end)
    });

    let letters = compare::records(log.as_ref(), DEAD_LETTERS).remove(0);
    for ((key, value, reason), (offset, letter)) in cases.iter().zip(offsets.iter().zip(&letters)) {
        let shown = String::from_utf8_lossy(&value[..value.len().min(200)]).into_owned();
        assert_eq!(
            letter.header(headers::REASON).as_deref(),
            Some(*reason),
            "{shown}: {:?}",
            letter.header(headers::DETAIL)
        );
        assert_eq!(letter.header(headers::FROM), Some(format!("events-0@{offset}")), "{shown}");
        assert_eq!(letter.header(headers::SOURCE).as_deref(), Some("file:7"), "{shown}");
        assert!(letter.header(headers::DETAIL).is_some_and(|detail| !detail.is_empty()), "{shown}");
        assert!(
            letter.key == *key && letter.value == *value && letter.timestamp == EventTime(NOON),
            "{shown}"
        );
    }
    assert_eq!(letters.len(), cases.len());
    let scores = compare::records(log.as_ref(), SCORES).remove(0);
    assert_eq!(scores.len(), cases.len() + 1, "every good event is scored");

    let address = consumer::address_of(&options.store).unwrap();
    let (code, metrics) = get(&format!("{address}/metrics"));
    assert_eq!(code, 200);
    let status: Status = serde_json::from_str(&get(&format!("{address}/v1/status")).1).unwrap();
    let reasons: std::collections::BTreeSet<_> = cases.iter().map(|(_, _, reason)| *reason).collect();
    for reason in reasons {
        let count = cases.iter().filter(|(_, _, r)| *r == reason).count() as u64;
        let counted = status.rejected.iter().find(|(name, _)| name == reason);
        assert_eq!(counted, Some(&(reason.to_owned(), count)));
        let line = format!("churn_events_rejected_total{{reason=\"{reason}\"}} {count}");
        assert!(metrics.lines().any(|l| l == line), "no `{line}` in\n{metrics}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(&format!("{address}{path}")).0, 200, "{path}");
    }
    around.shutdown.request("the test is done");
    running.join().unwrap().unwrap();
}

/// A consumer as a process, over a stream that takes it a while.
fn start(world: &World, place: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_consumer"))
        .args(["--from", place, "--workers", "2", "--batch", "100", "--scale-every", "50ms"])
        .arg("--features")
        .arg(world.spec_path())
        .arg("--model")
        .arg(world.registry_path("registry"))
        .arg("--store")
        .arg(world.dir().join("store"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn terminate(child: &Child) {
    signal(child, "TERM");
}

fn signal(child: &Child, name: &str) {
    let name = format!("-{name}");
    assert!(Command::new("kill").args([&name, &child.id().to_string()]).status().unwrap().success());
}

/// Waits until it has an address, and written scores.
fn at_work(store: &Path, log: &dyn Log) -> String {
    wait_until("there is an address", || consumer::address_of(store).is_some());
    let address = consumer::address_of(store).unwrap();
    wait_until("it is ready", || get(&format!("{address}/readyz")).0 == 200);
    wait_until("there are scores", || log.bounds(SCORES, P0).is_ok_and(|bounds| bounds.end.0 > 0));
    address
}

#[test]
fn a_signal_under_load_ends_it_in_time_with_everything_committed() {
    let world = World::new(support::seed());
    drop(world.registry("registry"));
    let dir = world.dir().join("log");
    let place = format!("file:{}", dir.display());
    let log = FileLog::new(&dir, LogOptions::default());
    stream::create(&log, 2);
    let records = stream::make(3, Shape { users: 5000, days: 25, empty: (2, 3) });
    Appender::new(&log).append(&records);
    let store = world.dir().join("store");

    let mut child = start(&world, &place);
    let address = at_work(&store, &log);
    let status: Status = serde_json::from_str(&get(&format!("{address}/v1/status")).1).unwrap();
    assert_eq!(status.partitions.len(), 2);
    terminate(&child);
    let asked = Instant::now();
    assert!(child.wait().unwrap().success());
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(consumer::address_of(&store), None, "nobody listens any more");

    let identity = feature_store::store::identity(&store).unwrap();
    let opened = Store::open(&store, &identity, StoreOptions::default()).unwrap();
    let mut unread = 0;
    for partition in (0..2).map(PartitionId) {
        let users = opened.partition::<UserState>(partition).unwrap();
        let commit = users.committed().unwrap();
        unread += log.bounds(EVENTS, partition).unwrap().end.since(commit.next_input);
        for topic in [SCORES, SHADOW_SCORES, DEAD_LETTERS] {
            assert_eq!(
                log.bounds(topic, partition).unwrap().end,
                commit.outputs[topic],
                "{topic}-{partition}"
            );
        }
    }
    assert!(unread > 0, "it was stopped in the middle");
    drop(opened);

    // A second signal does not wait for the drain. Both are there when the process goes on, so no drain is over before the second comes.
    let mut child = start(&world, &place);
    at_work(&store, &log);
    let asked = Instant::now();
    for name in ["STOP", "TERM", "INT", "CONT"] {
        signal(&child, name);
    }
    let code = child.wait().unwrap().code();
    assert!(code == Some(143) || code == Some(130), "{code:?}");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
}
