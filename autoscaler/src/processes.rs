//! Consumer processes: as many as are desired are kept running, the others are stopped.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use telemetry::Metrics;
use telemetry::catalogue::AUTOSCALER_DEATHS;

use crate::{AutoscalerError, ProcessCommand};

/// How programs end that refuse their arguments.
const REFUSED: i32 = 2;
/// How often is looked while all are being stopped.
const LOOK: Duration = Duration::from_millis(20);

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// How long a process that was told to stop may take to commit and end; then it is killed.
    pub(crate) stop: Duration,
    /// How long after its death a process is started again; twice as long each time that it dies soon.
    pub(crate) rest: Duration,
    /// How long at most. One that lived for so long did not die soon.
    pub(crate) most_rest: Duration,
    /// Once a process has lived for so long, the command is one that programs take: a refusal is a death like others.
    pub(crate) proven: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            stop: Duration::from_secs(30),
            rest: Duration::from_secs(1),
            most_rest: Duration::from_secs(60),
            proven: Duration::from_secs(10),
        }
    }
}

/// The processes. Clones are the same ones.
#[derive(Clone)]
pub(crate) struct Processes(Arc<Mutex<Slots>>);

struct Slots {
    command: ProcessCommand,
    prefix: Vec<OsString>,
    pace: Pace,
    deaths: telemetry::Counter,
    desired: usize,
    /// Whether a process has lived for a while.
    proven: bool,
    /// By number, up to the highest that there ever was.
    slots: Vec<Slot>,
}

#[derive(Default)]
struct Slot {
    state: State,
    /// How often in a row it died soon.
    deaths: u32,
}

#[derive(Default)]
enum State {
    #[default]
    Idle,
    Runs {
        child: Child,
        since: Instant,
    },
    /// It was told to stop.
    Stops {
        child: Child,
        kill_at: Option<Instant>,
    },
    /// It died, and is started again.
    Rests {
        until: Instant,
    },
}

impl Processes {
    /// None yet. `prefix` are words that stand before the command.
    pub(crate) fn new(
        command: &ProcessCommand,
        prefix: Vec<OsString>,
        pace: Pace,
        metrics: &Metrics,
    ) -> Self {
        Self(Arc::new(Mutex::new(Slots {
            command: command.clone(),
            prefix,
            pace,
            deaths: metrics.counter(AUTOSCALER_DEATHS, []),
            desired: 0,
            proven: false,
            slots: Vec::new(),
        })))
    }

    /// How many there are to be, from the next look on.
    pub(crate) fn desire(&self, processes: u32) {
        self.slots().desired = processes as usize;
    }

    /// How many run and were not told to stop.
    pub(crate) fn running(&self) -> u32 {
        let slots = self.slots();
        let running = slots.slots.iter().filter(|slot| matches!(slot.state, State::Runs { .. })).count();
        u32::try_from(running).unwrap_or(u32::MAX)
    }

    /// The numbers of those that are to run, with their command.
    pub(crate) fn desired(&self) -> (u32, ProcessCommand) {
        let slots = self.slots();
        (u32::try_from(slots.desired).unwrap_or(u32::MAX), slots.command.clone())
    }

    /// Starts those that are to run, again if they died and have rested; stops those that are not, and kills what does not end. Waits for
    /// nothing: call it a few times a second, always on the thread that started them.
    ///
    /// # Errors
    /// If one refuses its arguments, or the system does not say whether one lives.
    pub(crate) fn look(&self) -> Result<(), AutoscalerError> {
        self.slots().look(Instant::now())
    }

    /// Stops all, and waits until they have ended or were killed.
    pub(crate) fn stop(&self) {
        let mut left = Some(self.slots().pace.stop + Duration::from_secs(10));
        let begun = Instant::now();
        self.desire(0);
        while left.is_some_and(|left| begun.elapsed() < left) {
            if let Err(error) = self.look() {
                tracing::warn!(%error, "stopping");
            }
            if self.slots().slots.iter().all(|slot| matches!(slot.state, State::Idle)) {
                left = None;
            }
            std::thread::sleep(LOOK);
        }
        if left.is_some() {
            tracing::error!("not all consumer processes have ended although they were killed");
        }
    }

    /// Kills all at once.
    pub(crate) fn kill(&self) {
        for slot in &mut self.slots().slots {
            if let State::Runs { child, .. } | State::Stops { child, .. } = &mut slot.state {
                send(child, Signal::KILL);
            }
        }
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        // Each slot is changed as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    fn look(&mut self, now: Instant) -> Result<(), AutoscalerError> {
        for number in 0..self.slots.len() {
            self.look_at(number, now)?;
        }
        // The highest number first.
        for number in (self.desired..self.slots.len()).rev() {
            self.end(number, now);
        }
        if self.slots.len() < self.desired {
            self.slots.resize_with(self.desired, Slot::default);
        }
        for number in 0..self.desired {
            let due = match self.slots[number].state {
                State::Idle => true,
                State::Rests { until } => until <= now,
                State::Runs { .. } | State::Stops { .. } => false,
            };
            if due {
                self.start(number, now);
            }
        }
        Ok(())
    }

    /// Sees whether a process lives.
    fn look_at(&mut self, number: usize, now: Instant) -> Result<(), AutoscalerError> {
        let waiting = |source| AutoscalerError::Io { action: "wait for a consumer process", source };
        match &mut self.slots[number].state {
            State::Idle | State::Rests { .. } => {}
            State::Runs { child, since } => {
                let lived = now.saturating_duration_since(*since);
                let Some(status) = child.try_wait().map_err(waiting)? else {
                    self.proven |= lived >= self.pace.proven;
                    return Ok(());
                };
                if status.code() == Some(REFUSED) && !self.proven {
                    self.slots[number].state = State::Idle;
                    return Err(self.refused(number));
                }
                self.rest(number, &status.to_string(), lived, now);
            }
            State::Stops { child, kill_at } => {
                if let Some(status) = child.try_wait().map_err(waiting)? {
                    told_ended(number, status);
                    self.slots[number].state = State::Idle;
                } else if kill_at.is_some_and(|at| at <= now) {
                    *kill_at = None;
                    tracing::warn!(process = number, after = ?self.pace.stop, "a consumer process does not end: killing it");
                    send(child, Signal::KILL);
                }
            }
        }
        Ok(())
    }

    /// One died by itself, or could not be started.
    fn rest(&mut self, number: usize, why: &str, lived: Duration, now: Instant) {
        self.deaths.add(1);
        let slot = &mut self.slots[number];
        slot.deaths = if lived >= self.pace.most_rest { 1 } else { slot.deaths.saturating_add(1) };
        let doubled = 2_u32.saturating_pow(slot.deaths - 1);
        let rest = self.pace.rest.saturating_mul(doubled).min(self.pace.most_rest);
        slot.state = State::Rests { until: now + rest };
        tracing::warn!(process = number, why, ?lived, again_in = ?rest, "a consumer process died: it is started again");
    }

    fn start(&mut self, number: usize, now: Instant) {
        let words = self.words(number);
        let mut all = self.prefix.iter().cloned().chain(words.into_iter().map(OsString::from));
        let Some(program) = all.next() else { return };
        let spawned = Command::new(program)
            .args(all)
            .stdin(Stdio::null())
            // Of its own, so that a Ctrl-C in a terminal reaches the autoscaler alone: a second signal would stop it at once.
            .process_group(0)
            .spawn();
        match spawned {
            Ok(child) => {
                tracing::info!(process = number, pid = child.id(), "a consumer process was started");
                self.slots[number].state = State::Runs { child, since: now };
            }
            Err(error) => self.rest(number, &error.to_string(), Duration::ZERO, now),
        }
    }

    /// Tells a process to stop, if it was not told yet.
    fn end(&mut self, number: usize, now: Instant) {
        let slot = &mut self.slots[number];
        slot.state = match std::mem::take(&mut slot.state) {
            State::Runs { child, .. } => {
                tracing::info!(process = number, pid = child.id(), "stopping a consumer process");
                send(&child, Signal::TERM);
                slot.deaths = 0;
                State::Stops { child, kill_at: Some(now + self.pace.stop) }
            }
            State::Rests { .. } => State::Idle,
            other => other,
        };
    }

    fn words(&self, number: usize) -> Vec<String> {
        self.command.of(u32::try_from(number).unwrap_or(u32::MAX))
    }

    fn refused(&self, number: usize) -> AutoscalerError {
        let command = self.words(number).join(" ");
        AutoscalerError::Refused { number: u32::try_from(number).unwrap_or(u32::MAX), command }
    }
}

fn told_ended(number: usize, status: ExitStatus) {
    if status.success() {
        tracing::info!(process = number, "a consumer process ended");
    } else {
        tracing::warn!(process = number, %status, "a consumer process did not end well: what it had not committed is done again");
    }
}

/// Signals a process that was not waited for yet, and what it started.
fn send(child: &Child, signal: Signal) {
    if let Err(error) = kill_process_group(Pid::from_child(child), signal) {
        tracing::debug!(%error, pid = child.id(), "a signal did not arrive");
    }
}

#[cfg(test)]
mod tests;
