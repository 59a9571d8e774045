//! Restoring a partition's state from the snapshot topic.
//!
//! The topic has as many partitions as the input. A record is one block of users' states; its key is the hash of the feature spec and the first
//! hash of the block's users, both in hexadecimal digits, so that compaction keeps the newest of each. How far they reach together stands
//! beside the group's offset (see `member`): blocks, offset and note are of one transaction.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use feature_store::{Published, Restored, Store, Survey};
use partition_log::{Log, LogError, RecordBuf};
use types::{Offset, PartitionId};

use crate::ConsumerError;
use crate::output::SNAPSHOTS;

/// How much is read at once.
const READ_BYTES: usize = 1 << 20;
/// How often progress is told.
const TELL: Duration = Duration::from_secs(2);
/// How long a read may wait for the brokers: whoever stops a restore waits for it as long.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long nothing at all may come.
const SILENCE: Duration = Duration::from_secs(30);
/// How long to wait before it is asked again.
const AGAIN: Duration = Duration::from_millis(50);

/// Replaces `key` with that of a block.
pub(crate) fn write_key(key: &mut String, spec: &str, start: u64) {
    key.clear();
    // A string takes everything.
    let _ = write!(key, "{spec}:{start:016x}");
}

/// What is to be restored.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) partition: PartitionId,
    /// The hash of the feature spec.
    pub(crate) spec: String,
    pub(crate) published: Published,
    /// The group's offset.
    pub(crate) next_input: Offset,
}

/// How a restore ended.
#[derive(Debug)]
pub(crate) enum End {
    Done,
    /// The topic does not hold what it should.
    Lost(String),
    /// It was told to stop, or could not read to the end.
    Stopped,
}

/// A restore on a thread of its own. Dropping it stops it.
pub(crate) struct Restore {
    thread: Option<JoinHandle<Result<End, ConsumerError>>>,
    shared: Arc<Shared>,
    begun: Instant,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// Thousandths of the topic's partition that are read.
    done: AtomicU64,
}

impl Restore {
    pub(crate) fn start(log: Arc<dyn Log>, store: Store, wanted: Wanted) -> Result<Self, ConsumerError> {
        let shared = Arc::<Shared>::default();
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(format!("restore-{}", wanted.partition))
            .spawn(move || restore(log.as_ref(), &store, &wanted, &of_thread))
            .map_err(|source| ConsumerError::Io { action: "start a thread".to_owned(), source })?;
        Ok(Self { thread: Some(thread), shared, begun: Instant::now() })
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<Result<End, ConsumerError>> {
        let thread = self.thread.take_if(|thread| thread.is_finished())?;
        Some(thread.join().unwrap_or_else(|_| Ok(End::Lost("restoring it failed".to_owned()))))
    }

    /// How far it is, and how long it may still take.
    pub(crate) fn progress(&self) -> (u64, Option<Duration>) {
        progress(self.shared.done.load(Relaxed), self.begun.elapsed())
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Percent, and the time that is left at the pace so far.
pub(crate) fn progress(thousandths: u64, took: Duration) -> (u64, Option<Duration>) {
    let left = took.mul_f64((1000 - thousandths.min(1000)) as f64 / thousandths.max(1) as f64);
    (thousandths / 10, (thousandths > 0).then_some(left))
}

/// Reads the topic twice: once to see whether it holds what it should, and then for good, so that what the store has gives way only then.
fn restore(log: &dyn Log, store: &Store, wanted: &Wanted, shared: &Shared) -> Result<End, ConsumerError> {
    let begun = Instant::now();
    let mut survey = Survey::default();
    let mut damage = None;
    let seen = read(log, wanted, shared, (0, begun), |block| {
        damage = survey.add(block).err();
        Ok(damage.is_none())
    })?;
    if seen == Read::Stopped {
        return Ok(End::Stopped);
    }
    if let Some(detail) = damage.or_else(|| survey.check(wanted.published, wanted.next_input).err()) {
        return Ok(End::Lost(format!(
            "the snapshot of partition {} is not whole: {detail}",
            wanted.partition
        )));
    }
    let mut restorer = store.restore(wanted.partition)?;
    let Read::Whole { blocks } = read(log, wanted, shared, (1, begun), |block| {
        restorer.add(block)?;
        Ok(true)
    })?
    else {
        return Ok(End::Stopped);
    };
    let Restored { users, bytes } = restorer.finish(wanted.published, wanted.next_input)?;
    tracing::info!(partition = %wanted.partition, users, bytes, read = blocks, took = ?begun.elapsed(),
        from = %wanted.published.below, to = %wanted.next_input, "the state is restored from the snapshot topic");
    Ok(End::Done)
}

/// How a reading ended.
#[derive(PartialEq, Eq)]
enum Read {
    Whole { blocks: u64 },
    Stopped,
}

/// Hands all blocks of the spec to `take`, as long as it wants more. Each of the two readings is half of the progress.
fn read(
    log: &dyn Log,
    wanted: &Wanted,
    shared: &Shared,
    (nth, begun): (u64, Instant),
    mut take: impl FnMut(&[u8]) -> Result<bool, ConsumerError>,
) -> Result<Read, ConsumerError> {
    let bounds = log.bounds(SNAPSHOTS, wanted.partition)?;
    let mut reader = log.reader(SNAPSHOTS, wanted.partition, bounds.start)?;
    reader.set_patience(PATIENCE);
    let mut heard = Instant::now();
    let (mut records, mut told) = (RecordBuf::default(), begun);
    let mut blocks = 0;
    let of_spec = format!("{}:", wanted.spec);
    while reader.position() < bounds.end && !shared.stop.load(Relaxed) {
        records.clear();
        let before = reader.position();
        let why = match reader.read(&mut records, READ_BYTES) {
            Ok(_) => String::from("there is nothing more"),
            Err(LogError::NotNow(why)) => why,
            Err(error) => return Err(error.into()),
        };
        if reader.position() == before {
            // Brokers may be away, and a leader that is new may know less, for a moment.
            if heard.elapsed() > SILENCE {
                tracing::warn!(partition = %wanted.partition, why, "the snapshot topic cannot be read to its end");
                break;
            }
            std::thread::sleep(AGAIN);
            continue;
        }
        heard = Instant::now();
        for record in records.iter().filter(|record| record.key.starts_with(of_spec.as_bytes())) {
            blocks += 1;
            if !take(record.value)? {
                return Ok(Read::Whole { blocks });
            }
        }
        let (read, all) = (reader.position().0 - bounds.start.0, bounds.end.0 - bounds.start.0);
        shared.done.store(nth * 500 + read * 500 / all.max(1), Relaxed);
        if told.elapsed() >= TELL {
            told = Instant::now();
            let (percent, left) = progress(shared.done.load(Relaxed), begun.elapsed());
            tracing::info!(partition = %wanted.partition, percent, blocks, left = ?left.unwrap_or_default(),
                "restoring the state from the snapshot topic");
        }
    }
    Ok(if reader.position() < bounds.end { Read::Stopped } else { Read::Whole { blocks } })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use partition_log::conformance::broker;
    use partition_log::{LogOptions, TopicConfig, open};
    use types::EventTime;

    use super::*;

    /// Bytes that no codec makes smaller.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let step = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        std::iter::repeat_with(step).take(len).collect()
    }

    #[test]
    fn a_broker_that_hangs_is_waited_for_and_does_not_hold_up_a_stop() {
        // Of its own: it is made to hang.
        let Some(brokers) = broker::start(1) else { return };
        let dir = brokers.dir.as_deref().unwrap();
        let signal = |name: &str| {
            let pid = std::fs::read_to_string(dir.join("broker-1.pid")).unwrap();
            assert!(Command::new("kill").args([&format!("-{name}"), pid.trim()]).status().unwrap().success());
        };
        let log = open(&format!("kafka:{}", brokers.bootstrap), &LogOptions::default()).unwrap();
        let config = TopicConfig { partitions: 1, key: "block".into(), partitioner: "explicit".into() };
        log.create_topic(SNAPSHOTS, &config).unwrap();
        // More than a reader fetches ahead.
        let (blocks, block) = (160, noise(200_000));
        let mut writer = log.writer(SNAPSHOTS).unwrap().partition(PartitionId(0)).unwrap();
        for _ in 0..blocks {
            writer.append(EventTime(1), b"spec:0", &block, &[]).unwrap();
        }
        writer.sync().unwrap();
        let wanted = Wanted {
            partition: PartitionId(0),
            spec: "spec".into(),
            published: Published::default(),
            next_input: Offset::ZERO,
        };
        // The broker hangs from the first block on.
        let read_and = |meanwhile: &(dyn Fn(&Shared) + Sync)| {
            let (shared, mut first) = (Shared::default(), true);
            std::thread::scope(|scope| {
                let outcome = read(log.as_ref(), &wanted, &shared, (0, Instant::now()), |_| {
                    if std::mem::take(&mut first) {
                        signal("STOP");
                        scope.spawn(|| meanwhile(&shared));
                    }
                    Ok(true)
                });
                (outcome.unwrap(), shared.done.load(Relaxed))
            })
        };
        let (outcome, _) = read_and(&|_| {
            std::thread::sleep(PATIENCE * 3);
            signal("CONT");
        });
        assert!(matches!(outcome, Read::Whole { blocks: found } if found == blocks));
        let stopped = std::sync::Mutex::new(None);
        let (outcome, done) = read_and(&|shared| {
            std::thread::sleep(PATIENCE);
            shared.stop.store(true, Relaxed);
            *stopped.lock().unwrap() = Some(Instant::now());
        });
        let waited = stopped.lock().unwrap().unwrap().elapsed();
        signal("CONT");
        assert!(matches!(outcome, Read::Stopped) && done < 500, "it was whole before: {done}");
        assert!(waited < Duration::from_secs(10), "{waited:?}");
        broker::stop(&brokers);
    }

    #[test]
    fn what_is_left_follows_from_what_was_done() {
        assert_eq!(progress(0, Duration::from_secs(9)), (0, None));
        assert_eq!(progress(250, Duration::from_secs(2)), (25, Some(Duration::from_secs(6))));
        assert_eq!(progress(1000, Duration::from_secs(2)), (100, Some(Duration::ZERO)));
    }

    #[test]
    fn keys_of_one_spec_begin_alike() {
        let mut key = "before".to_owned();
        write_key(&mut key, "00ff00ff00ff00ff", 0xa000_0000_0000_0001);
        assert_eq!(key, "00ff00ff00ff00ff:a000000000000001");
    }
}
