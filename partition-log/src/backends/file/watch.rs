//! Waiting for a topic to grow, in this process or another.
//!
//! The truth is in the partitions' checkpoints; the system's notification (inotify) only ends the sleep early. Where there
//! is none (other systems, network file systems, too many watches) the sleep is cut into short naps instead.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use types::Offset;

use super::checkpoint::CheckpointFile;
use crate::{LogError, Watch};

/// The longest sleep without a look, should a notification not come.
const NAP: Duration = Duration::from_millis(250);
/// The same without notifications: a compromise between delay and wake-ups.
#[cfg_attr(target_os = "linux", allow(dead_code))]
const SHORT_NAP: Duration = Duration::from_millis(10);

/// Sleeps until a partition of a topic grows.
#[derive(Debug)]
pub(super) struct FileWatch {
    partitions: Vec<Watched>,
    notifier: Notifier,
}

#[derive(Debug)]
struct Watched {
    dir: PathBuf,
    checkpoint: Option<CheckpointFile>,
    seen: Option<Offset>,
    notified: bool,
}

impl Watched {
    /// Whether it has grown since the last look.
    fn grew(&mut self, notifier: &Notifier) -> Result<bool, LogError> {
        if self.checkpoint.is_none() {
            self.checkpoint = CheckpointFile::open(&self.dir)?;
        }
        if self.checkpoint.is_some() && !self.notified {
            // Before the look: what happens after it then ends the sleep.
            notifier.add(&self.dir.join(super::checkpoint::NAME));
            self.notified = true;
        }
        let end = self
            .checkpoint
            .as_ref()
            .map(CheckpointFile::read)
            .transpose()?
            .flatten()
            .map(|c| c.visible.offset);
        let grew = end > self.seen && end != Some(Offset::ZERO);
        self.seen = end.or(self.seen);
        Ok(grew)
    }
}

impl FileWatch {
    pub(super) fn new(partition_dirs: impl Iterator<Item = PathBuf>) -> Result<Self, LogError> {
        let notifier = Notifier::new();
        let mut partitions = Vec::new();
        for dir in partition_dirs {
            let mut watched = Watched { dir, checkpoint: None, seen: None, notified: false };
            watched.grew(&notifier)?;
            partitions.push(watched);
        }
        Ok(Self { partitions, notifier })
    }
}

impl Watch for FileWatch {
    fn wait(&mut self, timeout: Duration) -> Result<bool, LogError> {
        let started = Instant::now();
        loop {
            let mut grew = false;
            for partition in &mut self.partitions {
                grew |= partition.grew(&self.notifier)?;
            }
            let left = timeout.saturating_sub(started.elapsed());
            if grew || left.is_zero() {
                return Ok(grew);
            }
            self.notifier.sleep(left.min(NAP));
        }
    }
}

#[cfg(target_os = "linux")]
#[derive(Debug)]
struct Notifier {
    /// `None` if the system has no more of them.
    inotify: Option<std::os::fd::OwnedFd>,
}

#[cfg(target_os = "linux")]
impl Notifier {
    fn new() -> Self {
        use rustix::fs::inotify::{CreateFlags, init};
        Self { inotify: init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok() }
    }

    fn add(&self, file: &std::path::Path) {
        use rustix::fs::inotify::{WatchFlags, add_watch};
        if let Some(inotify) = &self.inotify {
            // Without it the naps find out.
            let _ = add_watch(inotify, file, WatchFlags::MODIFY);
        }
    }

    fn sleep(&self, at_most: Duration) {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let Some(inotify) = &self.inotify else {
            return std::thread::sleep(at_most.min(SHORT_NAP));
        };
        let timeout = Timespec::try_from(at_most).ok();
        let ready = poll(&mut [PollFd::new(inotify, PollFlags::IN)], timeout.as_ref());
        if matches!(ready, Ok(n) if n > 0) {
            // What is in it does not matter, only that it is empty afterwards.
            while matches!(rustix::io::read(inotify, &mut [0_u8; 4096]), Ok(n) if n > 0) {}
        } else if ready.is_err() {
            std::thread::sleep(at_most.min(SHORT_NAP));
        }
    }
}

#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
struct Notifier;

#[cfg(not(target_os = "linux"))]
impl Notifier {
    fn new() -> Self {
        Self
    }

    fn add(&self, _file: &std::path::Path) {}

    fn sleep(&self, at_most: Duration) {
        std::thread::sleep(at_most.min(SHORT_NAP));
    }
}
