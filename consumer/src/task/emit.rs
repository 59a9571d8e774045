//! What a task writes: scores, shadow scores and dead letters.

use types::{Trigger, headers};

use super::PartitionTask;
use crate::ConsumerError;
use crate::output::Emitted;
use crate::pipeline::Shadow;

impl PartitionTask {
    /// Scores the rows and writes the scores; in the replayed region only the bands are remembered.
    pub(super) fn score(&mut self) -> Result<(), ConsumerError> {
        let (outputs, stats, measures) = (&mut self.outputs, &self.stats, &mut self.measures);
        let written = &mut self.written;
        let (emit_from, rows, swept) = (self.emit_from, &self.rows, &mut self.swept);
        // The champion scores every row once, in order.
        let mut row = 0;
        self.scoring.score(rows, &mut self.users, |score| {
            let at = row;
            row += usize::from(score.shadow == Shadow::No);
            if score.offset < emit_from {
                return Ok(());
            }
            if score.shadow == Shadow::No && score.trigger == Trigger::Sweep {
                swept.row(&rows.row(at), score.probability);
            }
            let output = match score.shadow {
                Shadow::No => &mut outputs.scores,
                Shadow::Yes => &mut outputs.shadow_scores,
            };
            let emitted = output.emit(score.as_of, score.entity.as_bytes(), score.json, &[])?;
            if score.shadow == Shadow::No {
                stats.score(&score);
                written.score(score.band, emitted);
                if emitted == Emitted::Written {
                    measures.probability(score.probability);
                }
            }
            Ok::<_, ConsumerError>(())
        })?;
        self.rows.clear();
        Ok(())
    }

    /// Writes the rejected records to the dead letters.
    pub(super) fn set_aside(&mut self) -> Result<(), ConsumerError> {
        for reject in self.rejects.drain(..) {
            let Some(record) = self.records.get(reject.index).filter(|r| r.offset >= self.emit_from) else {
                continue;
            };
            let from = format!("{}-{}@{}", self.topic, self.partition, record.offset);
            let mut all: Vec<(&str, &[u8])> = vec![
                (headers::REASON, reject.reason.name().as_bytes()),
                (headers::DETAIL, reject.detail.as_bytes()),
                (headers::FROM, from.as_bytes()),
            ];
            // The source's own headers stay, so that a redriven record can still be traced to its line.
            let kept =
                record.headers().filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, value)));
            all.extend(kept.filter(|(name, _)| *name == headers::SOURCE || *name == headers::REDRIVEN));
            let original = record.header(partition_log::mapped::ORIGINAL).unwrap_or(record.value);
            let most = self.outputs.dead_letter_bytes;
            let (key, value) = fitting(record.key, original, &all, most);
            let whole = original.len().to_string();
            if (key.len(), value.len()) != (record.key.len(), original.len()) {
                all.push((headers::TRUNCATED, whole.as_bytes()));
            }
            let emitted = self.outputs.dead_letters.emit(record.timestamp, key, value, &all)?;
            self.written.reject(reject.reason, emitted);
        }
        Ok(())
    }
}

/// What of a key and a value there is room for beside headers, and one more that says so if it is not all. Of a key that does not fit there
/// is nothing left: half a key is another's.
fn fitting<'r>(key: &'r [u8], value: &'r [u8], all: &[(&str, &[u8])], most: usize) -> (&'r [u8], &'r [u8]) {
    let headers: usize = all.iter().map(|(name, value)| name.len() + value.len() + 16).sum();
    if headers + key.len() + value.len() <= most {
        return (key, value);
    }
    let room = most.saturating_sub(headers + headers::TRUNCATED.len() + 20 + 16);
    let key = if key.len() <= room / 2 { key } else { b"" };
    (key, &value[..value.len().min(room - key.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_cut_to_what_its_topic_takes_and_no_further() {
        let (key, value, headers) = ([1; 10], [2; 100], [("reason", &b"late"[..])]);
        let whole = 10 + 100 + 26;
        assert_eq!(fitting(&key, &value, &headers, whole), (&key[..], &value[..]));
        let (kept, cut) = fitting(&key, &value, &headers, whole - 1);
        assert_eq!((kept, cut.len()), (&key[..], whole - 1 - 26 - 48 - 10));
        assert_eq!(fitting(&key, &value, &headers, 20), (&b""[..], &b""[..]));
        let (kept, cut) = fitting(&[1; 100], &value, &headers, 26 + 48 + 60);
        assert_eq!((kept, cut.len()), (&b""[..], 60), "no part of a key");
    }
}
