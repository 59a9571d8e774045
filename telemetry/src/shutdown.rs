//! Stopping: the first signal drains, the second stops at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// The wish to stop, shared by all threads and tasks of a process. Clones are the same wish.
#[derive(Debug, Clone)]
pub struct Shutdown(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    requested: AtomicBool,
    /// For threads: the lock guards nothing but the sleep.
    gate: Mutex<()>,
    opened: Condvar,
    /// For tasks.
    tasks: watch::Sender<bool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// Not wished yet. Signals are not heard before [`listen`](Self::listen).
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            requested: AtomicBool::new(false),
            gate: Mutex::new(()),
            opened: Condvar::new(),
            tasks: watch::Sender::new(false),
        }))
    }

    /// From now on the first SIGINT (Ctrl-C) or SIGTERM asks for a drain, and the second ends the process at once with exit
    /// code 130 or 143. `before_exit` runs before that end, to give a terminal back, say; it must not wait for anything.
    ///
    /// # Errors
    /// If the system refuses the handlers or a thread.
    pub fn listen(&self, before_exit: impl FnOnce() + Send + 'static) -> io::Result<()> {
        // A runtime of its own, so that a blocked worker cannot keep a signal from being heard.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (mut interrupt, mut terminate) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        let shutdown = self.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let (name, _) = runtime.block_on(next(&mut interrupt, &mut terminate));
            shutdown.request(name);
            let (name, exit_code) = runtime.block_on(next(&mut interrupt, &mut terminate));
            tracing::warn!("second signal ({name}): stopping at once; what is not committed is replayed at the next start");
            before_exit();
            std::process::exit(exit_code);
        })?;
        Ok(())
    }

    /// Asks for a drain; `why` is logged. Asking again changes nothing.
    pub fn request(&self, why: &str) {
        if !self.0.requested.swap(true, Ordering::AcqRel) {
            tracing::info!("stopping ({why}): draining and committing; a second signal stops at once");
        }
        // Under the gate, or a thread between its look at the flag and its sleep would miss the call.
        drop(self.0.gate.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.opened.notify_all();
        self.0.tasks.send_replace(true);
    }

    /// Whether a drain was asked for. An atomic load: cheap enough for once a batch.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.requested.load(Ordering::Acquire)
    }

    /// Sleeps until a drain is asked for or the timeout has passed; returns whether it was asked for.
    #[must_use]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut gate = self.0.gate.lock().unwrap_or_else(PoisonError::into_inner);
        while !self.is_requested() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            gate = self.0.opened.wait_timeout(gate, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Resolves when a drain is asked for.
    pub async fn requested(&self) {
        let mut tasks = self.0.tasks.subscribe();
        // The sender lives as long as `self`, so this ends for no other reason.
        let _ = tasks.wait_for(|asked| *asked).await;
    }
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) -> (&'static str, i32) {
    tokio::select! {
        _ = interrupt.recv() => ("Ctrl-C", 130),
        _ = terminate.recv() => ("SIGTERM", 143),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_wake_when_asked() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.wait_timeout(Duration::from_millis(5)));
        let started = Instant::now();
        let sleepers: Vec<_> = (0..4)
            .map(|_| {
                let shutdown = shutdown.clone();
                thread::spawn(move || shutdown.wait_timeout(Duration::from_secs(20)))
            })
            .collect();
        thread::sleep(Duration::from_millis(20));
        shutdown.request("test");
        shutdown.request("test again");
        assert!(sleepers.into_iter().all(|s| s.join().unwrap()));
        assert!(started.elapsed() < Duration::from_secs(10));
        assert!(shutdown.is_requested() && shutdown.wait_timeout(Duration::ZERO));
    }

    #[tokio::test]
    async fn tasks_wake_before_and_after() {
        let shutdown = Shutdown::new();
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.requested().await }
        });
        tokio::task::yield_now().await;
        shutdown.request("test");
        waiting.await.unwrap();
        shutdown.requested().await;
    }
}
