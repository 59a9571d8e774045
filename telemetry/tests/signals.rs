//! Signals, sent to a real process: this test's own program, started again in the role of a service.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // Helpers of a test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use telemetry::Shutdown;

const ROLE: &str = "TELEMETRY_SIGNALS_ROLE";

/// Not a test of its own: what the started program runs. It drains for as long as the role says.
#[test]
fn service() {
    let Ok(drain_seconds) = std::env::var(ROLE) else { return };
    let shutdown = Shutdown::new();
    shutdown.listen(|| println!("giving the terminal back")).unwrap();
    println!("listening");
    assert!(shutdown.wait_timeout(Duration::from_secs(30)));
    println!("draining");
    std::thread::sleep(Duration::from_secs(drain_seconds.parse().unwrap()));
    println!("drained");
}

struct Service {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Service {
    fn start(drain_seconds: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "service", "--nocapture"])
            .env(ROLE, drain_seconds)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut service = Self { child, lines };
        service.expect("listening");
        service
    }

    fn signal(&self, name: &str) {
        let done = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(done.unwrap().success());
    }

    #[track_caller]
    fn expect(&mut self, line: &str) {
        assert!(self.lines.by_ref().any(|l| l.unwrap() == line), "`{line}` never came");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_first_signal_drains() {
    for signal in ["INT", "TERM"] {
        let mut service = Service::start("0");
        service.signal(signal);
        service.expect("drained");
        assert!(service.child.wait().unwrap().success());
    }
}

#[test]
fn the_second_signal_stops_at_once() {
    for (second, exit_code) in [("INT", 130), ("TERM", 143)] {
        let mut service = Service::start("25");
        service.signal("TERM");
        service.expect("draining");
        let started = Instant::now();
        service.signal(second);
        service.expect("giving the terminal back");
        assert_eq!(service.child.wait().unwrap().code(), Some(exit_code));
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}
