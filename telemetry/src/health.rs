//! Whether the process lives and whether it is ready, with the reasons.
//!
//! *Live* means that restarting it would not help; *ready* that it does its work. Each part that matters takes a [`Check`]
//! and speaks through it. Silence is not health: with no check at all nothing is ready, and a check that has to give signs
//! of life and does not counts as dead.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The health of one process. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<BTreeMap<String, Entry>>>);

#[derive(Debug)]
struct Entry {
    state: State,
    beat: Option<Beat>,
}

#[derive(Debug, Clone, Copy)]
struct Beat {
    last: Instant,
    every: Duration,
}

#[derive(Debug)]
enum State {
    Ready,
    NotReady(String),
    /// Ready, unless it still waits at that moment.
    Waiting(Instant, String),
    Failed(String),
}

/// An answer to a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whether it is so.
    pub ok: bool,
    /// Why not, one part a line, sorted by part; empty if it is so.
    pub reasons: Vec<String>,
}

/// One part's word in the process' health. Dropping it withdraws the part, unless the thread panics: then it has failed.
#[derive(Debug)]
pub struct Check {
    health: Health,
    part: String,
}

impl Health {
    /// Nothing known, so not ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a part, not ready yet; `reason` says what it is waiting for. A part of the same name is replaced.
    #[must_use]
    pub fn check(&self, part: &str, reason: &str) -> Check {
        self.add(part, reason, None)
    }

    /// Adds a part, not ready yet, that has to give a sign of life at least so often or counts as dead.
    #[must_use]
    pub fn check_beating(&self, part: &str, reason: &str, every: Duration) -> Check {
        self.add(part, reason, Some(Beat { last: Instant::now(), every }))
    }

    fn add(&self, part: &str, reason: &str, beat: Option<Beat>) -> Check {
        let state = State::NotReady(reason.to_owned());
        self.lock().insert(part.to_owned(), Entry { state, beat });
        Check { health: self.clone(), part: part.to_owned() }
    }

    /// Whether the process lives: no part has failed or fallen silent.
    #[must_use]
    pub fn live(&self) -> Report {
        self.report(|part, entry| entry.dead().map(|why| format!("{part}: {why}")))
    }

    /// Whether it does its work: it lives, and every part is ready.
    #[must_use]
    pub fn ready(&self) -> Report {
        if self.lock().is_empty() {
            return Report { ok: false, reasons: vec!["nothing has reported yet".to_owned()] };
        }
        self.report(|part, entry| match &entry.state {
            State::NotReady(why) => Some(format!("{part}: {why}")),
            State::Waiting(until, why) if Instant::now() > *until => Some(format!("{part}: {why}")),
            _ => entry.dead().map(|why| format!("{part}: {why}")),
        })
    }

    fn report(&self, fault: impl Fn(&str, &Entry) -> Option<String>) -> Report {
        let reasons: Vec<_> = self.lock().iter().filter_map(|(part, entry)| fault(part, entry)).collect();
        Report { ok: reasons.is_empty(), reasons }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        // Entries are replaced whole, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn dead(&self) -> Option<String> {
        if let State::Failed(why) = &self.state {
            return Some(why.clone());
        }
        let beat = self.beat?;
        let silent = beat.last.elapsed();
        (silent > beat.every).then(|| format!("no sign of life for {} s", silent.as_secs()))
    }
}

impl Check {
    /// The part does its work.
    pub fn ready(&self) {
        self.set(State::Ready);
    }

    /// The part does not do its work now and expects to again.
    pub fn not_ready(&self, reason: &str) {
        self.set(State::NotReady(reason.to_owned()));
    }

    /// The part waits for something that is soon there. If it still waits after so long, it is not ready, and `reason` says for what.
    pub fn waits(&self, reason: &str, at_most: Duration) {
        self.set(State::Waiting(Instant::now() + at_most, reason.to_owned()));
    }

    /// The part will not recover by itself.
    pub fn failed(&self, reason: &str) {
        self.set(State::Failed(reason.to_owned()));
    }

    /// A sign of life. Takes a lock: call it once a batch or less, not for each event.
    pub fn beat(&self) {
        if let Some(Beat { last, .. }) = self.health.lock().get_mut(&self.part).and_then(|e| e.beat.as_mut())
        {
            *last = Instant::now();
        }
    }

    fn set(&self, state: State) {
        if let Some(entry) = self.health.lock().get_mut(&self.part) {
            entry.state = state;
        }
        self.beat();
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.failed("panicked");
        } else {
            self.health.lock().remove(&self.part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_ready_until_everything_says_so() {
        let health = Health::new();
        assert!(!health.ready().ok && health.live().ok);
        let store = health.check("store", "opening");
        let log = health.check("log", "recovering");
        store.ready();
        assert_eq!(health.ready(), Report { ok: false, reasons: vec!["log: recovering".to_owned()] });
        log.ready();
        assert_eq!(health.ready(), Report { ok: true, reasons: vec![] });
        store.failed("disk gone");
        assert_eq!(health.live().reasons, ["store: disk gone"]);
        assert_eq!(health.ready().reasons, ["store: disk gone"]);
        drop(store);
        assert!(health.ready().ok, "a part that is withdrawn is not asked");
    }

    #[test]
    fn a_silent_part_is_dead_until_it_speaks_again() {
        let health = Health::new();
        let worker = health.check_beating("worker 0", "starting", Duration::from_millis(300));
        worker.ready();
        std::thread::sleep(Duration::from_millis(400));
        assert_eq!(health.live().reasons, ["worker 0: no sign of life for 0 s"]);
        assert!(!health.ready().ok);
        worker.beat();
        assert!(health.live().ok && health.ready().ok);
    }

    #[test]
    fn a_part_that_waits_for_too_long_is_not_ready_and_lives() {
        let health = Health::new();
        let check = health.check("producer", "opening");
        check.waits("the log is slow", Duration::from_secs(3600));
        assert!(health.ready().ok);
        check.waits("the log is slow", Duration::ZERO);
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(health.ready().reasons, ["producer: the log is slow"]);
        assert!(health.live().ok);
        check.ready();
        assert!(health.ready().ok);
    }

    #[test]
    fn a_panicking_thread_leaves_a_failed_part() {
        let health = Health::new();
        let check = health.check("worker 1", "starting");
        let thread = std::thread::spawn(move || {
            check.ready();
            panic!("on purpose");
        });
        thread.join().unwrap_err();
        assert_eq!(health.live().reasons, ["worker 1: panicked"]);
    }
}
