//! Waits that end: a test that hangs fails.

#![allow(dead_code, reason = "each test uses its part")]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use consumer::{ConsumerOptions, Scaling, Status, Surroundings, Workers};
use partition_log::SharedLog;

/// No wait is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// What a command said, which is killed when it takes longer.
pub(crate) fn output(command: &mut Command) -> Output {
    let said = format!("{command:?}");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = child.id().to_string();
    let (done, wait) = channel();
    let waiting = std::thread::spawn(move || {
        let output = child.wait_with_output();
        let _ = done.send(());
        output
    });
    if wait.recv_timeout(PATIENCE).is_err() {
        // Its number is its own until it is waited for.
        let _ = Command::new("kill").args(["-KILL", &id]).status();
        let output = waiting.join().unwrap().unwrap();
        panic!("did not end: {said}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    waiting.join().unwrap().unwrap()
}

/// Does it on a thread of its own, which is left to itself when it takes longer.
pub(crate) fn within<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = channel();
    let working = std::thread::spawn(move || {
        let result = work();
        let _ = done.send(());
        result
    });
    if wait.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
        panic!("did not end: {what}");
    }
    working.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A consumer, to its end.
pub(crate) fn run(options: &ConsumerOptions, log: &SharedLog, around: &Surroundings) -> Status {
    let (options, log, around) = (options.clone(), log.clone(), around.clone());
    within("consumer", move || consumer::run(&options, &log, &around).unwrap())
}

/// How `events` are scored to their end by `model` and `spec.toml` of a folder, with the state beside them.
pub(crate) fn options(dir: &Path) -> ConsumerOptions {
    ConsumerOptions {
        topic: "events".to_owned(),
        group: None,
        session_timeout: Duration::from_secs(7),
        store: dir.join("state"),
        model: dir.join("model"),
        features: dir.join("spec.toml"),
        workers: Workers::Fixed(1),
        until_end: true,
        commit_interval: Duration::from_millis(200),
        tick_idle: Duration::from_secs(60),
        batch_events: 10_000,
        reasons: consumer::pipeline::Reasons::Risen,
        prices: None,
        without_beginning: false,
        state: feature_store::StoreOptions::default(),
        http: None,
        scaling: Scaling::default(),
    }
}
