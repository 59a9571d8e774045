//! An end for a consumer on Kafka that is to stop while no broker answers.
//!
//! Some of what it waits for then has a time limit of its own that is longer than whoever stops it waits: Kubernetes kills after half a minute,
//! systemd after one and a half. Nothing is lost by an end at any moment: the brokers abort what is open, and the next start goes on from
//! what the group knows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use partition_log::SharedLog;

use crate::Surroundings;

/// How long stopping may take before anybody asks whether brokers answer.
const GRACE: Duration = Duration::from_secs(3);
/// How often it is asked.
const PAUSE: Duration = Duration::from_secs(1);
/// What the process ends with: it did stop as it was told to, but without its last commit.
const UNCOMMITTED: u8 = 1;

/// Whether the commit is confirmed by which a consumer on Kafka stops. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct LastCommit(Arc<AtomicBool>);

impl LastCommit {
    /// Whether it is: nothing that was done is to be done again.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn done(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// From now on the process ends, at most some fifteen seconds after it was told to stop, if no broker answers; by `end`, which does not return in a
/// program. It is given the exit code: 1 if the last commit was not confirmed, else 0. A log that is not on Kafka waits for nobody.
///
/// # Errors
/// If the system gives no thread.
pub fn end_without_brokers(
    log: &SharedLog,
    topic: &str,
    around: &Surroundings,
    end: impl FnOnce(u8) + Send + 'static,
) -> std::io::Result<()> {
    let Some(kafka) = log.as_kafka().cloned() else { return Ok(()) };
    let (topic, shutdown, last) = (topic.to_owned(), around.shutdown.clone(), around.last_commit.clone());
    std::thread::Builder::new().name("last".to_owned()).spawn(move || {
        while !shutdown.wait_timeout(Duration::from_secs(3600)) {}
        std::thread::sleep(GRACE);
        end(when_silent(|| kafka.answers(&topic), &last, PAUSE));
    })?;
    Ok(())
}

/// Waits until nobody answers, and says with which code the process is to end.
fn when_silent(mut answers: impl FnMut() -> bool, last: &LastCommit, pause: Duration) -> u8 {
    // Once is not enough: a broker may have been slow just then.
    let mut silent = 0;
    while silent < 2 {
        silent = if answers() { 0 } else { silent + 1 };
        std::thread::sleep(pause);
    }
    if last.is_done() {
        tracing::info!("told to stop, and no broker answers: ending at once; the last commit is done");
        return 0;
    }
    tracing::warn!(
        "told to stop, and no broker answers: ending at once, without the last commit; what is not committed is done again at \
         the next start"
    );
    UNCOMMITTED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_silences_in_a_row_end_it_and_the_code_says_whether_that_cost_the_last_commit() {
        for committed in [false, true] {
            let (last, mut asked) = (LastCommit::default(), 0);
            let code = when_silent(
                || {
                    asked += 1;
                    // The brokers go away behind the commit, which is confirmed while they are asked.
                    if committed && asked == 4 {
                        last.done();
                    }
                    [false, true, false, false][asked - 1]
                },
                &last,
                Duration::ZERO,
            );
            assert_eq!((asked, code), (4, u8::from(!committed)));
        }
    }
}
