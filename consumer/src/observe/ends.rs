//! Where the partitions of the input end: lag is counted from there.
//!
//! Brokers may take long to say so, or say nothing, and who looks commits too and answers the group: so they are asked on a thread of
//! its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::channel::{RecvTimeoutError, Sender, bounded};
use partition_log::Log;
use types::Offset;

use super::partition_id;
use crate::ConsumerError;
use crate::stats::PartitionStats;

/// What the thread was told is good for so long at least.
const LASTS: Duration = Duration::from_secs(3);

/// An end, and how long ago it was asked for.
type Told = Option<(Offset, Duration)>;

/// The last end of each partition, and when it was asked for.
type Heard = Mutex<Vec<Option<(Offset, Instant)>>>;

pub(super) enum Ends {
    /// The log is on this machine: it is asked when somebody looks.
    Here { log: Arc<dyn Log>, topic: String },
    /// Others say it, when they do.
    Asked {
        told: Arc<Heard>,
        lasts: Duration,
        /// Dropped, it ends the thread, when that has its answer; nobody waits for it.
        _stop: Sender<()>,
    },
}

impl Ends {
    pub(super) fn of(
        log: &Arc<dyn Log>,
        topic: &str,
        stats: &[Arc<PartitionStats>],
        every: Duration,
    ) -> Result<Self, ConsumerError> {
        let (log, topic) = (Arc::clone(log), topic.to_owned());
        if log.as_kafka().is_none() {
            return Ok(Self::Here { log, topic });
        }
        let told = Arc::new(Mutex::new(vec![None; stats.len()]));
        let (stop, stopped) = bounded(0);
        let (of_thread, stats) = (Arc::clone(&told), stats.to_vec());
        std::thread::Builder::new()
            .name("ends".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                    ask(log.as_ref(), &topic, &stats, &of_thread);
                }
            })
            .map_err(|source| ConsumerError::Io { action: "start a thread".to_owned(), source })?;
        Ok(Self::Asked { told, lasts: LASTS.max(every * 3), _stop: stop })
    }

    /// The end of each partition that this process has; none where it is not known.
    pub(super) fn now(&self, stats: &[Arc<PartitionStats>]) -> Vec<Told> {
        match self {
            Self::Here { log, topic } => {
                let end = |(index, stats): (usize, &Arc<PartitionStats>)| {
                    let bounds = stats.is_owned().then(|| log.bounds(topic, partition_id(index)).ok())??;
                    Some((bounds.end, Duration::ZERO))
                };
                stats.iter().enumerate().map(end).collect()
            }
            Self::Asked { told, lasts, .. } => {
                let told = told.lock().unwrap_or_else(PoisonError::into_inner);
                let known = |told: &Option<(Offset, Instant)>| {
                    told.map(|(end, when)| (end, when.elapsed())).filter(|(_, ago)| ago < lasts)
                };
                told.iter().map(known).collect()
            }
        }
    }
}

fn ask(log: &dyn Log, topic: &str, stats: &[Arc<PartitionStats>], told: &Heard) {
    for (index, _) in stats.iter().enumerate().filter(|(_, stats)| stats.is_owned()) {
        let asked = Instant::now();
        match log.bounds(topic, partition_id(index)) {
            Ok(bounds) => {
                told.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some((bounds.end, asked));
            }
            Err(error) => {
                // Each question may take long: it is not put to the others too.
                tracing::debug!(%error, "asking where the input ends");
                return;
            }
        }
    }
}
