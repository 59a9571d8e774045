//! A real schema registry for tests, started by `scripts/registry`, which ends with this process.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "a test's helper")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// A registry that runs, or does not.
pub(crate) struct Running {
    dir: PathBuf,
    pub(crate) url: String,
}

fn script(command: &str, dir: &Path) -> Command {
    // No test waits for it without end.
    let mut script = Command::new("timeout");
    script.args(["--kill-after=10", "300"]);
    script.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/registry"));
    script.arg(command).arg("--dir").arg(dir);
    script
}

/// Starts one of a test's own. `None`, with a clear line, where there is none and it is not required (`CI` is not `true`).
pub(crate) fn start(name: &str) -> Option<Running> {
    let dir = std::env::temp_dir().join(format!("churnstream-test-registry-{}-{name}", std::process::id()));
    let started = script("start", &dir)
        .args(["--while", &std::process::id().to_string()])
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    if started.status.success() {
        let url = String::from_utf8_lossy(&started.stdout).trim().to_owned();
        return Some(Running { dir, url });
    }
    let why = String::from_utf8_lossy(&started.stderr).trim().to_owned();
    assert!(std::env::var("CI").as_deref() != Ok("true"), "there is no schema registry to test with: {why}");
    partition_log::conformance::broker::skipped(&format!("there is no schema registry to test with: {why}"));
    None
}

impl Running {
    /// Ends it as a crash would.
    pub(crate) fn kill(&self) {
        assert!(script("kill", &self.dir).status().unwrap().success());
    }

    /// Starts it again, at the same address, with the same schemas.
    pub(crate) fn again(&self) {
        assert!(script("start", &self.dir).stdout(Stdio::null()).status().unwrap().success());
    }

    /// Registers a schema and returns its number. A reference is the name and subject of another schema's first version.
    pub(crate) fn register(&self, subject: &str, kind: &str, schema: &str, references: &[&str]) -> u32 {
        let references: Vec<Value> =
            references.iter().map(|name| json!({"name": name, "subject": name, "version": 1})).collect();
        let body = json!({"schemaType": kind, "schema": schema, "references": references});
        let mut answer =
            ureq::post(format!("{}/subjects/{subject}/versions", self.url)).send_json(body).unwrap();
        let answer: Value = answer.body_mut().read_json().unwrap();
        u32::try_from(answer["id"].as_u64().unwrap()).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // If it cannot, its watch ends it with this process.
        let _ = script("stop", &self.dir).status();
    }
}
