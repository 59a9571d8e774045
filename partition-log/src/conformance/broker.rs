//! A real Kafka for tests: the user's own, or one that is started by `scripts/kafka` and ends with this process.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::proxy::Proxy;

/// Where a user's own brokers are, for tests.
pub const OWN: &str = "CHURNSTREAM_TEST_KAFKA";

/// Brokers that tests may use.
#[derive(Debug)]
pub struct Brokers {
    /// `HOST:PORT`, or several of them.
    pub bootstrap: String,
    /// The folder of those that were started here; none for a user's own.
    pub dir: Option<PathBuf>,
}

impl Brokers {
    /// Sends a signal to one that was started here: `KILL`, `STOP`, `CONT`.
    ///
    /// # Panics
    /// If there is none.
    pub fn signal(&self, number: u32, signal: &str) {
        let pid = std::fs::read_to_string(self.folder().join(format!("broker-{number}.pid"))).unwrap();
        let sent = Command::new("kill").args([&format!("-{signal}"), pid.trim()]).status().unwrap();
        assert!(sent.success());
    }

    /// Starts one again that was killed, and returns when it serves.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&self, number: u32) {
        let started = script().args(["broker", &number.to_string(), "--dir"]).arg(self.folder()).status();
        assert!(started.unwrap().success());
    }

    fn folder(&self) -> &Path {
        self.dir.as_deref().expect("brokers that were started here")
    }
}

/// One broker for all tests of this process. `None`, with a clear line, where there is no Kafka and it is not required.
///
/// # Panics
/// If Kafka is missing and the environment's `CI` is `true`.
pub fn shared() -> Option<&'static Brokers> {
    static SHARED: OnceLock<Option<Brokers>> = OnceLock::new();
    SHARED
        .get_or_init(|| match std::env::var(OWN) {
            Ok(bootstrap) if !bootstrap.is_empty() => Some(Brokers { bootstrap, dir: None }),
            _ => start(1),
        })
        .as_ref()
}

/// Starts brokers of a test's own, in a folder of their own.
///
/// # Panics
/// As [`shared`].
pub fn start(brokers: u32) -> Option<Brokers> {
    start_with(&["--brokers", &brokers.to_string()])
}

/// Starts one broker behind a proxy, by which all clients come.
///
/// # Panics
/// As [`shared`].
pub fn start_behind_proxy() -> Option<(Brokers, Proxy)> {
    let proxy = Proxy::listen();
    let brokers = start_with(&["--advertise", &proxy.address])?;
    proxy.lead_to(&brokers.bootstrap);
    Some((brokers, proxy))
}

/// Starts one broker that listens with TLS too; its folder holds what a client needs, see `scripts/kafka`.
///
/// # Panics
/// As [`shared`].
pub fn start_secure() -> Option<Brokers> {
    start_with(&["--secure"])
}

fn start_with(arguments: &[&str]) -> Option<Brokers> {
    // Tests of one process start theirs side by side.
    static STARTED: AtomicU32 = AtomicU32::new(0);
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("churnstream-test-kafka-{}-{number}", std::process::id()));
    let started = script()
        .arg("start")
        .args(arguments)
        .args(["--while", &std::process::id().to_string(), "--dir"])
        .arg(&dir)
        .stderr(Stdio::piped())
        .output();
    let why = match started {
        Ok(output) if output.status.success() => {
            let bootstrap = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            return Some(Brokers { bootstrap, dir: Some(dir) });
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    assert!(std::env::var("CI").as_deref() != Ok("true"), "there is no Kafka to test with: {why}");
    skipped(&format!("there is no Kafka to test with: {why}"));
    None
}

/// Says that a test did not run. Past what the test's runner captures: a test that passes would show nothing.
///
/// # Panics
/// If standard error is closed.
pub fn skipped(why: &str) {
    std::io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes()).unwrap();
}

/// Ends brokers before this process does.
pub fn stop(brokers: &Brokers) {
    if let Some(dir) = &brokers.dir {
        // If it cannot, their watch ends them with this process.
        let _ = script().args(["stop", "--dir"]).arg(dir).status();
    }
}

/// `scripts/kafka` of this workspace. It is ended when it takes longer than five minutes: no test waits for it without end.
#[must_use]
pub fn script() -> Command {
    let mut script = Command::new("timeout");
    script.args(["--kill-after=10", "300"]);
    script.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/kafka"));
    script
}
