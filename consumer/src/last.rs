//! An end for a consumer on Kafka that is to stop while no broker answers.
//!
//! Some of what it waits for then has a time limit of its own that is longer than whoever stops it waits: Kubernetes kills after half a minute,
//! systemd after one and a half. Nothing is lost by an end at any moment: the brokers abort what is open, and the next start goes on from
//! what the group knows.

use std::time::Duration;

use partition_log::SharedLog;
use telemetry::Shutdown;

/// How long stopping may take before anybody asks whether brokers answer.
const GRACE: Duration = Duration::from_secs(3);
/// How often it is asked.
const PAUSE: Duration = Duration::from_secs(1);
/// What the process ends with: it did stop as it was told to, but without its last commit.
const UNCOMMITTED: u8 = 1;

/// From now on the process ends, at most some fifteen seconds after it was told to stop, if no broker answers; by `end`, which does not return in a
/// program. A log that is not on Kafka waits for nobody.
///
/// # Errors
/// If the system gives no thread.
pub fn end_without_brokers(
    log: &SharedLog,
    topic: &str,
    shutdown: &Shutdown,
    end: impl FnOnce(u8) + Send + 'static,
) -> std::io::Result<()> {
    let Some(kafka) = log.as_kafka().cloned() else { return Ok(()) };
    let (topic, shutdown) = (topic.to_owned(), shutdown.clone());
    std::thread::Builder::new().name("last".to_owned()).spawn(move || {
        while !shutdown.wait_timeout(Duration::from_secs(3600)) {}
        std::thread::sleep(GRACE);
        // Once is not enough: a broker may have been slow just then.
        let mut silent = 0;
        while silent < 2 {
            silent = if kafka.answers(&topic) { 0 } else { silent + 1 };
            std::thread::sleep(PAUSE);
        }
        tracing::warn!(
            "told to stop, and no broker answers: ending at once, without the last commit; what is not committed is done again at \
             the next start"
        );
        end(UNCOMMITTED);
    })?;
    Ok(())
}
