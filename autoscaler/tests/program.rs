//! The program without brokers: what it says of its arguments, and that its processes live no longer than it does. What it does with brokers
//! is tested with the consumer, which it starts.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure is a panic here")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(120);
/// Nobody listens there.
const AWAY: [&str; 2] = ["--from", "kafka:127.0.0.1:1"];

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_autoscaler"))
}

fn ends(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let output = ends(&[&AWAY, arguments].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    said
}

/// A running autoscaler, what it says, and the processes of a script that wrote their numbers into a folder.
struct Running {
    child: Child,
    dir: tempfile::TempDir,
}

impl Running {
    /// Two processes of a script, in which `$DIR` is a folder, and `$BEGUN` tells the test that it has begun.
    fn start(script: &str, arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let script = script.replace("$BEGUN", "echo $$ >$DIR/new-{n}; mv $DIR/new-{n} $DIR/pid-{n}");
        let script = script.replace("$DIR", dir.path().to_str().unwrap());
        let two = ["--min", "2", "--max", "2", "--", "sh", "-c", &script];
        Self::of(dir, &[arguments, &two].concat())
    }

    fn of(dir: tempfile::TempDir, arguments: &[&str]) -> Self {
        let words = File::create(dir.path().join("words")).unwrap();
        let child = program().args(AWAY).args(arguments).stderr(Stdio::from(words)).spawn().unwrap();
        Self { child, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.path("words")).unwrap()
    }

    fn wait_for(&self, what: &str, happened: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !happened() {
            assert!(Instant::now() < deadline, "waited in vain for {what}\n{}", self.said());
            sleep(Duration::from_millis(10));
        }
    }

    /// The numbers that the system gave both processes.
    fn pids(&self) -> [u32; 2] {
        let pid = |n| std::fs::read_to_string(self.path(&format!("pid-{n}"))).ok();
        self.wait_for("two processes", || (0..2).all(|n| pid(n).is_some()));
        [0, 1].map(|n| pid(n).unwrap().trim().parse().unwrap())
    }

    fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "does not end\n{}", self.said());
            sleep(Duration::from_millis(10));
        }
    }

    /// What it answers over HTTP.
    fn get(&self, path: &str) -> String {
        let bound = || {
            let said = self.said();
            let (_, bound) = said.split_once("bound=")?;
            Some(bound.split_whitespace().next()?.to_owned())
        };
        self.wait_for("its address", || bound().is_some());
        let mut stream = TcpStream::connect(bound().unwrap()).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: here:1\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a process is there and not only waited for.
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z"))
}

#[test]
fn wrong_arguments_are_refused_with_what_to_write() {
    let consumer = ["--", "consumer", "--from", "kafka:b:1", "--store", "state"];
    let said = refused(&consumer);
    assert!(said.contains("--store state/{n}") && said.contains("--max 1"), "{said}");
    let said = refused(&["--min", "4"]);
    assert!(said.contains("--min 4 is more than --max 3"), "{said}");
    let said = refused(&["--topic", "clicks", "--max", "1", "--", "consumer", "--store", "state"]);
    assert!(said.contains("--topic"), "{said}");
    let output = ends(&["--from", "file:nowhere"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("file:nowhere is no Kafka") && said.contains("--workers auto"), "{said}");
    let help = String::from_utf8(ends(&["--help"]).stdout).unwrap();
    assert!(help.contains("--store state/{n} ") && help.contains("127.0.0.1:946{n}\n"), "{help}");
}

#[test]
fn without_a_command_it_says_how_many_there_should_be() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("decisions.jsonl");
    let arguments = ["--every", "50ms", "--http", "127.0.0.1:0", "--log", log.to_str().unwrap()];
    for command in [&[][..], &["--dry-run", "--", "false", "{n}"]] {
        let dir = tempfile::tempdir().unwrap();
        let mut running = Running::of(dir, &[&arguments, command].concat());
        let shows = |line: &str| running.get("/metrics").lines().any(|shown| shown == line);
        running.wait_for("a decision", || shows(r#"churn_autoscaler_workers{state="desired"} 1"#));
        running.wait_for("another", || {
            let holds = r#"churn_autoscaler_decisions_total{action="hold",reason="telemetry_missing"}"#;
            running.get("/metrics").contains(holds)
        });
        assert!(!running.get("/metrics").contains(r#"{state="actual"}"#), "nobody said how many there are");
        assert!(running.get("/healthz").starts_with("HTTP/1.1 200"));
        let ready = running.get("/readyz");
        assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("the lag is unknown"), "{ready}");
        assert!(running.get("/targets").ends_with("\r\n\r\n[]"));
        assert!(running.said().contains("would grow from 0 to 1"), "{}", running.said());
        running.signal("TERM");
        assert!(running.wait().success());
    }
    let text = std::fs::read_to_string(log).unwrap();
    let reasons: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["reason"].to_string())
        .collect();
    assert_eq!(reasons, ["\"bounds\"", "\"telemetry_missing\"", "\"bounds\"", "\"telemetry_missing\""]);
}

#[test]
fn a_signal_ends_all_and_a_second_one_at_once() {
    let obedient = "trap 'echo x >$DIR/ended-{n}; exit 0' TERM; $BEGUN; while :; do sleep 0.05; done";
    let mut running = Running::start(obedient, &["--http", "127.0.0.1:0"]);
    let pids = running.pids();
    assert!(pids.into_iter().all(lives));
    assert!(running.get("/targets").ends_with("\r\n\r\n[{\"targets\":[]}]"));
    running.signal("INT");
    assert!(running.wait().success(), "{}", running.said());
    assert!(!pids.into_iter().any(lives));
    assert!((0..2).all(|n| running.path(&format!("ended-{n}")).exists()));

    let mut running =
        Running::start("trap 'echo x >$DIR/told-{n}' TERM; $BEGUN; while :; do sleep 0.05; done", &[]);
    let pids = running.pids();
    running.signal("TERM");
    running.wait_for("both to be told", || (0..2).all(|n| running.path(&format!("told-{n}")).exists()));
    running.signal("TERM");
    assert_eq!(running.wait().code(), Some(143), "{}", running.said());
    running.wait_for("both to be gone", || !pids.into_iter().any(lives));
}

#[cfg(target_os = "linux")]
#[test]
fn killed_it_leaves_no_process_behind() {
    let mut running = Running::start(
        "trap 'echo x >$DIR/ended-{n}; exit 0' TERM; $BEGUN; while :; do sleep 0.05; done",
        &[],
    );
    let pids = running.pids();
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    running.wait_for("both to be gone", || !pids.into_iter().any(lives));
    assert!((0..2).all(|n| running.path(&format!("ended-{n}")).exists()), "they were told to stop");
}

#[test]
fn a_process_that_refuses_its_arguments_ends_it() {
    let mut running = Running::start("sleep 0.2; exit $(({n} + 1))", &[]);
    assert_eq!(running.wait().code(), Some(2), "{}", running.said());
    assert!(
        running.said().contains("process 1 refuses its arguments (see above): sh -c"),
        "{}",
        running.said()
    );
    let output = ends(&[&AWAY[..], &["--max", "1", "--", "no-such-program", "--all"]].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("cannot run no-such-program") && said.contains("no-such-program --all"), "{said}");
}
