//! Who is most at risk: the newest sweep's scores, read from the scores topic as they come.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use consumer::SCORES;
use partition_log::{Log, PartitionReader, RecordBuf};
use types::{Band, EventTime, Offset, PartitionId, Score, Trigger};

use super::view::AtRisk;

/// How much is read of each partition at once.
const READ_BYTES: usize = 1 << 20;
/// How long a look may take, so that drawing goes on; what is left comes at the next one.
const LOOK: Duration = Duration::from_millis(150);
/// What every score of a sweep holds and an event's does not: cheaper to look for than to read the whole score.
const SWEEP: &[u8] = b"\"trigger\":\"sweep\"";

/// Follows the sweeps of all partitions.
pub(super) struct RiskBoard {
    readers: Vec<Box<dyn PartitionReader>>,
    records: RecordBuf,
    /// For each user of the upper bands, what the newest sweep said.
    risky: HashMap<String, Score>,
    newest: EventTime,
}

impl RiskBoard {
    /// Begins at the scores that there are. `None` until the topic is there.
    pub(super) fn open(log: &dyn Log) -> anyhow::Result<Option<Self>> {
        let Some(config) = log.topic(SCORES)? else { return Ok(None) };
        let readers = (0..config.partitions)
            .map(|partition| log.reader(SCORES, PartitionId(partition), Offset::ZERO))
            .collect::<Result<_, _>>()?;
        let (records, risky) = (RecordBuf::default(), HashMap::new());
        Ok(Some(Self { readers, records, risky, newest: EventTime::MIN }))
    }

    /// Reads what has come since.
    pub(super) fn look(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut more = true;
        while more && begun.elapsed() < LOOK {
            more = false;
            for partition in 0..self.readers.len() {
                more |= self.look_at(partition)?;
            }
        }
        Ok(())
    }

    /// Reads on in a partition; whether there was something.
    fn look_at(&mut self, partition: usize) -> anyhow::Result<bool> {
        self.records.clear();
        self.readers[partition].read(&mut self.records, READ_BYTES)?;
        for record in self.records.iter().filter(|r| is_sweep(r.value)) {
            let score = Score::decode(record.value)?;
            debug_assert_eq!(score.trigger, Trigger::Sweep);
            self.newest = self.newest.max(score.as_of);
            if score.band == Band::Low {
                self.risky.remove(&score.entity);
            } else {
                self.risky.insert(score.entity.clone(), score);
            }
        }
        Ok(!self.records.is_empty())
    }

    /// The users whom the newest sweep sees most at risk, highest first.
    pub(super) fn top(&self, count: usize) -> Vec<AtRisk> {
        let mut current: Vec<&Score> =
            self.risky.values().filter(|score| score.as_of == self.newest).collect();
        current.sort_by(|a, b| b.probability.total_cmp(&a.probability).then_with(|| a.entity.cmp(&b.entity)));
        current
            .into_iter()
            .take(count)
            .map(|score| AtRisk {
                user: score.entity.clone(),
                probability: score.probability,
                band: score.band,
                reasons: score.reasons.iter().map(scorer::words).collect(),
            })
            .collect()
    }

    /// The as-of time of the newest sweep seen.
    pub(super) fn newest(&self) -> Option<EventTime> {
        (self.newest > EventTime::MIN).then_some(self.newest)
    }
}

/// Whether a score's bytes are a sweep's.
pub(super) fn is_sweep(json: &[u8]) -> bool {
    memchr::memmem::find(json, SWEEP).is_some()
}
