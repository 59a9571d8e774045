//! The program `autoscaler` with consumers that it starts, on a real Kafka: more of them while much waits, fewer when little does, another
//! one where one dies, and what they leave is what one uninterrupted run on files leaves.

#![allow(clippy::unwrap_used, clippy::expect_used)]

/// Not of the others: tests of other crates share those, and have no consumer to start.
#[path = "support/group.rs"]
mod group;
mod support;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use group::Proof;
use partition_log::conformance::broker;
use serde_json::Value;
use support::compare;
use support::stream::{Appender, Shape};

/// Three processes do more than two of these, and two more than one.
const PARTITIONS: u32 = 6;
/// One of them has no user.
const EMPTY: (u32, u32) = (5, PARTITIONS);
const STARTED: &str = "a consumer process was started";

/// A running autoscaler.
struct Autoscaler<'p> {
    proof: &'p Proof,
    child: Child,
    words: PathBuf,
}

impl<'p> Autoscaler<'p> {
    fn start(proof: &'p Proof, max: u32) -> Self {
        // Beside the program of this crate: tests of the workspace build that of another crate too.
        let program = Path::new(env!("CARGO_BIN_EXE_consumer")).with_file_name("autoscaler");
        assert!(program.exists(), "{} is not built: cargo build -p autoscaler", program.display());
        let dir = proof.world.dir();
        let words = dir.join("autoscaler.log");
        let session = format!("{}s", support::session().as_secs());
        let child = Command::new(program)
            .args(["--from", &proof.place, "--max", &max.to_string(), "--every", "500ms"])
            .args(["--high-events", "20", "--low-share", "0.05", "--low-for", "2s"])
            .args(["--settle", "500ms", "--cooldown", "2s", "--http", "127.0.0.1:0"])
            .arg("--log")
            .arg(dir.join("decisions.jsonl"))
            .arg("--")
            .arg(env!("CARGO_BIN_EXE_consumer"))
            .args(["--from", &proof.place, "--session-timeout", &session])
            // What is done and not committed waits too: so it takes no slow machine for much to wait.
            .args([
                "--commit-interval",
                "2s",
                "--snapshot-interval",
                "200ms",
                "--memory",
                "1",
                "--batch",
                "500",
            ])
            .arg("--features")
            .arg(proof.world.spec_path())
            .arg("--model")
            .arg(proof.world.registry_path("registry"))
            .arg("--store")
            .arg(dir.join("process-{n}"))
            .stderr(Stdio::from(File::options().create(true).append(true).open(&words).unwrap()))
            .spawn()
            .unwrap();
        Self { proof, child, words }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.words).unwrap()
    }

    fn wait_for(&mut self, what: &str, happened: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + group::PATIENCE;
        while !happened(self) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("ended by itself, waiting for {what}: {status}\n{}", self.said());
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}\n{}", self.said());
            sleep(Duration::from_millis(50));
        }
    }

    /// The numbers that the system gave to a process, one after the other.
    fn pids(&self, process: u32) -> Vec<u32> {
        let started = format!("{STARTED} process={process} pid=");
        let said = self.said();
        let pids = said.lines().filter_map(|line| line.split_once(&started)?.1.trim().parse().ok());
        pids.collect()
    }

    /// Whether a reader of what is committed sees all that there is to be.
    fn is_done(&self) -> bool {
        self.proof.expected.iter().all(|(topic, expected)| {
            let found = compare::records(self.proof.log.as_ref(), topic);
            found.iter().flatten().count() >= expected.iter().flatten().count()
        })
    }

    /// Every decision that was written.
    fn decisions(&self) -> Vec<Value> {
        let text =
            std::fs::read_to_string(self.proof.world.dir().join("decisions.jsonl")).unwrap_or_default();
        // The last line may be on its way.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn last_reason(&self) -> Option<String> {
        Some(self.decisions().last()?["reason"].as_str()?.to_owned())
    }

    /// A metric, by its name and labels.
    fn metric(&self, series: &str) -> Option<f64> {
        let said = self.said();
        let bound = said.lines().find(|line| line.contains("metrics, health and targets"))?;
        let address = bound.split_once("bound=")?.1.trim().to_owned();
        let mut answer = ureq::get(format!("http://{address}/metrics")).call().ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// Whether a process works on partitions.
    fn works(&self, process: u32) -> bool {
        let store = self.proof.world.dir().join(format!("process-{process}"));
        let metrics = consumer::address_of(&store).and_then(|address| {
            let mut answer = ureq::get(format!("{address}/metrics")).call().ok()?;
            answer.body_mut().read_to_string().ok()
        });
        metrics.is_some_and(|text| text.contains("\nchurn_consumer_lag_events{"))
    }

    fn ends_well(&mut self) {
        signal(self.child.id(), "TERM");
        let deadline = Instant::now() + group::PATIENCE;
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "does not end\n{}", self.said());
            sleep(Duration::from_millis(50));
        };
        assert!(status.success(), "{status}\n{}", self.said());
        let left: Vec<u32> = (0..3).flat_map(|n| self.pids(n)).filter(|pid| lives(*pid)).collect();
        assert!(left.is_empty(), "{left:?} live on\n{}", self.said());
    }
}

impl Drop for Autoscaler<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.said());
        }
        // Its processes end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap();
    assert!(sent.success());
}

fn lives(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("process-"))
}

#[test]
fn processes_come_with_the_lag_and_go_with_it_and_one_that_is_killed_is_replaced() {
    let Some(brokers) = broker::shared() else { return };
    let seed = support::seed() ^ 11;
    let shape = Shape { users: 1500, days: 12, empty: EMPTY };
    let proof = Proof::over(PARTITIONS, &brokers.bootstrap, "autoscaler", seed, shape);
    let (waiting, rest) = proof.records.split_at(proof.records.len() / 2);
    let mut appender = Appender::new(proof.log.as_ref());
    appender.append(waiting);
    let mut slices = rest.chunks(rest.len().div_ceil(500));
    let mut scaler = Autoscaler::start(&proof, 3);
    // As long as more comes, none of them goes: it lasts for longer than three minutes.
    let deadline = Instant::now() + group::PATIENCE * 3 / 2;
    while !(0..3).all(|process| scaler.works(process)) {
        slices.next().inspect(|slice| appender.append(slice));
        sleep(Duration::from_millis(400));
        assert!(Instant::now() < deadline, "three processes do not work");
    }
    assert_eq!(scaler.metric(r#"churn_autoscaler_workers{state="actual"}"#), Some(3.0));
    signal(scaler.pids(1)[0], "KILL");
    slices.for_each(|slice| appender.append(slice));
    scaler.wait_for("another in the place of the one that was killed", |scaler| scaler.pids(1).len() > 1);
    assert_eq!(scaler.metric("churn_autoscaler_process_deaths_total"), Some(1.0), "{}", scaler.said());
    scaler.wait_for("all to be committed", Autoscaler::is_done);
    scaler.wait_for("the fewest processes", |scaler| {
        scaler.metric(r#"churn_autoscaler_workers{state="actual"}"#) == Some(1.0)
            && scaler.said().matches("a consumer process ended").count() == 2
    });
    assert_eq!(scaler.pids(0).len(), 1, "the first was left alone");
    assert!(lives(scaler.pids(0)[0]));
    let decisions = scaler.decisions();
    let changes: Vec<_> = decisions
        .iter()
        .filter(|decision| decision["action"] != "hold")
        .map(|decision| (decision["reason"].as_str().unwrap(), decision["desired"].as_u64().unwrap()))
        .collect();
    assert_eq!(changes[..3], [("bounds", 1), ("lag_high", 2), ("lag_high", 3)], "{}", scaler.said());
    assert_eq!(changes[changes.len() - 2..], [("lag_low", 2), ("lag_low", 1)], "{}", scaler.said());
    assert!(decisions.iter().any(|decision| decision["numbers"]["lag_events"].as_u64() > Some(20)));
    scaler.ends_well();
    proof.holds("one-more");
}

#[test]
fn while_brokers_are_away_nothing_changes() {
    // Of its own: it is killed.
    let Some(brokers) = broker::start(1) else { return };
    let Some(dir) = &brokers.dir else { return };
    let shape = Shape { users: 600, days: 12, empty: EMPTY };
    let proof = Proof::over(PARTITIONS, &brokers.bootstrap, "away", support::seed() ^ 12, shape);
    let (first, rest) = proof.records.split_at(proof.records.len() / 2);
    let mut appender = Appender::new(proof.log.as_ref());
    appender.append(first);
    let mut scaler = Autoscaler::start(&proof, 2);
    let group_knows = "the lag of the group is known";
    scaler.wait_for("two processes", |scaler| !scaler.pids(1).is_empty());
    let pid = std::fs::read_to_string(dir.join("broker-1.pid")).unwrap();
    signal(pid.trim().parse().unwrap(), "KILL");
    scaler.wait_for("the lag to be unknown", |scaler| {
        scaler.last_reason().as_deref() == Some("telemetry_missing")
    });
    let (known, pids) = (scaler.said().matches(group_knows).count(), [scaler.pids(0), scaler.pids(1)]);
    let stopped = |scaler: &Autoscaler| scaler.said().matches("stopping a consumer process").count();
    let before = (scaler.decisions().len(), stopped(&scaler));
    let desired = scaler.metric(r#"churn_autoscaler_workers{state="desired"}"#);
    // Longer than little would have to wait, and than the pause after a change.
    sleep(Duration::from_secs(6));
    // A hold for the same reason is written once a minute.
    assert_eq!((scaler.decisions().len(), stopped(&scaler)), before, "{}", scaler.said());
    assert_eq!(scaler.metric(r#"churn_autoscaler_workers{state="desired"}"#), desired);
    assert_eq!([scaler.pids(0), scaler.pids(1)], pids, "{}", scaler.said());
    let back = broker::script().args(["broker", "1", "--dir"]).arg(dir).status().unwrap();
    assert!(back.success());
    scaler.wait_for("the lag to be known", |scaler| scaler.said().matches(group_knows).count() > known);
    appender.append(rest);
    scaler.wait_for("all to be committed", Autoscaler::is_done);
    scaler.wait_for("the fewest processes", |scaler| {
        scaler.metric(r#"churn_autoscaler_workers{state="actual"}"#) == Some(1.0)
    });
    scaler.ends_well();
    proof.holds("one-more");
    broker::stop(&brokers);
}
