//! Every decision, one JSON object a line, in a file that stays small.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use types::EventTime;

use crate::{Action, Decision};

/// Appends decisions to a file. When that would grow beyond its limit it is renamed to the same name with `.1` behind, in
/// place of an older one, and a new one begun: at most twice the limit is on disk.
///
/// A hold for the same reason as the line before is written once a minute only, so that the changes can be found. Lines are
/// handed to the system one by one; a crash of the machine may lose the last ones.
#[derive(Debug)]
pub struct DecisionLog {
    path: PathBuf,
    file: File,
    size: u64,
    limit: u64,
    last: Option<(Duration, Action, crate::Reason)>,
    line: Vec<u8>,
}

/// A failure of the decision log. Deciding can go on without it.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} the decision log {}: {source}", path.display())]
pub struct DecisionLogError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

#[derive(Serialize)]
struct Line<'a> {
    /// Milliseconds since 1970, by the wall clock.
    time: EventTime,
    policy: &'a str,
    #[serde(flatten)]
    decision: &'a Decision,
}

const REPEAT_HOLDS_AFTER: Duration = Duration::from_secs(60);

impl DecisionLog {
    /// Opens or makes the file; `limit` is in bytes, at least one line is always written. A line that a crash tore in two is
    /// ended first.
    ///
    /// # Errors
    /// If it cannot be opened for appending.
    pub fn open(path: &Path, limit: u64) -> Result<Self, DecisionLogError> {
        let error = |action| move |source| DecisionLogError { action, path: path.to_owned(), source };
        let mut file =
            OpenOptions::new().create(true).append(true).read(true).open(path).map_err(error("open"))?;
        let mut size = file.metadata().map_err(error("open"))?.len();
        if ends_within_a_line(&mut file).map_err(error("read"))? {
            file.write_all(b"\n").map_err(error("write"))?;
            size += 1;
        }
        Ok(Self { path: path.to_owned(), file, size, limit, last: None, line: Vec::new() })
    }

    /// Adds a decision of the policy named so; `time` is the wall clock's.
    ///
    /// # Errors
    /// If it cannot be written; the next call tries anew.
    pub fn append(
        &mut self,
        time: EventTime,
        policy: &str,
        decision: &Decision,
    ) -> Result<(), DecisionLogError> {
        let Decision { at, action, reason, .. } = *decision;
        let repeats = |&(before, last_action, last_reason): &(Duration, Action, crate::Reason)| {
            (action, last_action) == (Action::Hold, Action::Hold)
                && last_reason == reason
                && at.saturating_sub(before) < REPEAT_HOLDS_AFTER
        };
        if self.last.as_ref().is_some_and(repeats) {
            return Ok(());
        }
        self.line.clear();
        serde_json::to_writer(&mut self.line, &Line { time, policy, decision })
            .map_err(|e| self.error("write", e.into()))?;
        self.line.push(b'\n');
        let length = self.line.len() as u64;
        if self.size > 0 && self.size + length > self.limit {
            self.rotate()?;
        }
        self.file.write_all(&self.line).map_err(|e| self.error("write", e))?;
        self.size += length;
        self.last = Some((at, action, reason));
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), DecisionLogError> {
        let mut older = self.path.clone().into_os_string();
        older.push(".1");
        fs::rename(&self.path, older).map_err(|e| self.error("rotate", e))?;
        let opened = OpenOptions::new().create(true).append(true).open(&self.path);
        self.file = opened.map_err(|e| self.error("open", e))?;
        self.size = 0;
        Ok(())
    }

    fn error(&self, action: &'static str, source: io::Error) -> DecisionLogError {
        DecisionLogError { action, path: self.path.clone(), source }
    }
}

fn ends_within_a_line(file: &mut File) -> io::Result<bool> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0_u8];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Numbers, Reason};

    fn decision(second: u64, action: Action) -> Decision {
        Decision {
            at: Duration::from_secs(second),
            desired: 3,
            action,
            reason: Reason::LagHigh,
            words: "20000 events wait, over 10000".to_owned(),
            numbers: Numbers {
                workers: 2,
                desired_before: 2,
                wished: 3,
                lag_events: Some(20_000),
                lag_seconds: None,
                arrival_rate: Some(1000.5),
                service_rate: None,
                partitions: 8,
                stuck: 0,
            },
        }
    }

    fn lines(path: &Path) -> Vec<serde_json::Value> {
        fs::read_to_string(path).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }

    #[test]
    fn a_line_says_what_was_decided_and_from_what() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("decisions.jsonl");
        let mut log = DecisionLog::open(&path, 10_000).unwrap();
        log.append(EventTime(1_700_000_000_000), "threshold", &decision(5, Action::Grow)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"time":1700000000000,"policy":"threshold","at_ms":5000,"desired":3,"action":"grow","#,
                r#""reason":"lag_high","words":"20000 events wait, over 10000","numbers":{"workers":2,"desired_before":2,"#,
                r#""wished":3,"lag_events":20000,"lag_seconds":null,"arrival_rate":1000.5,"service_rate":null,"#,
                r#""partitions":8,"stuck":0}}"#,
                "\n"
            )
        );
        let read: Decision = serde_json::from_str(&text).unwrap();
        assert_eq!(read, decision(5, Action::Grow));
    }

    #[test]
    fn it_stays_small_and_keeps_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("decisions.jsonl");
        let mut log = DecisionLog::open(&path, 2_000).unwrap();
        for second in 0..50 {
            log.append(EventTime(second), "p", &decision(second.unsigned_abs(), Action::Grow)).unwrap();
        }
        let older = dir.path().join("decisions.jsonl.1");
        for file in [&path, &older] {
            assert!(fs::metadata(file).unwrap().len() <= 2_000);
        }
        let mut times: Vec<_> =
            lines(&older).iter().chain(&lines(&path)).map(|l| l["time"].as_i64().unwrap()).collect();
        assert_eq!(times.pop(), Some(49));
        assert!(times.is_sorted() && times.len() >= 5, "{times:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn holds_are_not_repeated_within_a_minute_and_torn_lines_are_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("decisions.jsonl");
        fs::write(&path, "{}\n{\"torn\":").unwrap();
        let mut log = DecisionLog::open(&path, 100_000).unwrap();
        for second in 0..130 {
            let action = if second == 65 { Action::Grow } else { Action::Hold };
            log.append(EventTime(second), "p", &decision(second.unsigned_abs(), action)).unwrap();
        }
        let text = fs::read_to_string(&path).unwrap();
        let times: Vec<_> = text
            .lines()
            .filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok()?["time"].as_i64())
            .collect();
        assert_eq!(times, [0, 60, 65, 66, 126]);
        assert_eq!(text.lines().count(), 7);
    }
}
