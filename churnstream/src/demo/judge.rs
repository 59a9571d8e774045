//! How good the demo's scores were: against what the simulation knows, on the days that were streamed.

use std::collections::HashMap;

use backtest::metrics::auc;
use consumer::SCORES;
use partition_log::{Log, RecordBuf};
use producer::simulate::Setting;
use producer::simulate::truth::Truth;
use types::{EventTime, Offset, PartitionId, Score};

use super::risk::is_sweep;

/// The verdict.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Verdict {
    /// Scores judged: of the same user on several days, each counts.
    pub(super) judged: usize,
    /// Of these, users who left within 30 days.
    pub(super) left: usize,
    /// How well the scores rank them.
    pub(super) auc: f64,
    /// How well the best observer of the same events could.
    pub(super) best: f64,
}

/// Compares the sweeps' scores at the midnights that begin `days` with what came after. `None` if nobody left, or nothing was
/// scored.
pub(super) fn judge(log: &dyn Log, setting: Setting, days: &[u32]) -> anyhow::Result<Option<Verdict>> {
    // A sweep at a midnight knows the days before it.
    let moments: HashMap<EventTime, u32> = days.iter().map(|day| (setting.midnight(*day), day - 1)).collect();
    let mut scores: HashMap<(u32, u32), f32> = HashMap::new();
    let partitions = log.topic(SCORES)?.map_or(0, |config| config.partitions);
    let mut records = RecordBuf::default();
    for partition in (0..partitions).map(PartitionId) {
        let mut reader = log.reader(SCORES, partition, Offset::ZERO)?;
        records.clear();
        while reader.read(&mut records, 1 << 20)? > 0 {
            for record in records.iter() {
                let Some(day) = moments.get(&record.timestamp).filter(|_| is_sweep(record.value)) else {
                    continue;
                };
                let score = Score::decode(record.value)?;
                if let Some(user) = score.entity.strip_prefix('u').and_then(|digits| digits.parse().ok()) {
                    scores.insert((user, *day), score.probability);
                }
            }
            records.clear();
        }
    }
    Ok(compare(setting, &scores))
}

fn compare(setting: Setting, scores: &HashMap<(u32, u32), f32>) -> Option<Verdict> {
    let truth = Truth::new(setting);
    let (mut ours, mut best, mut left) = (Vec::new(), Vec::new(), Vec::new());
    let mut rows = Vec::new();
    for user in 0..setting.users {
        rows.clear();
        truth.user(user, &mut rows);
        for row in &rows {
            let Some(alive) = &row.alive else { continue };
            let (Some(outcome), Some(score)) = (alive.left, scores.get(&(row.user, row.day))) else {
                continue;
            };
            ours.push(*score);
            best.push(alive.bayes_p30 as f32);
            left.push(outcome);
        }
    }
    Some(Verdict {
        judged: left.len(),
        left: left.iter().filter(|left| **left).count(),
        auc: auc(&ours, &left)?,
        best: auc(&best, &left)?,
    })
}
