//! Panes: what becomes of the stored events of a user who has too many.

use std::collections::BTreeMap;

use crate::spec::Plan;

use super::log::EventLog;
use super::record::Record;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How long the pane of an event so far behind the user's newest is, in milliseconds.
const fn pane_length(age: i64) -> i64 {
    if age <= HOUR {
        MINUTE
    } else if age <= DAY {
        15 * MINUTE
    } else {
        HOUR
    }
}

/// Merges records of the same kind in the same aligned pane into one, at the time of the last of them. O(n log n).
pub(super) fn compact(plan: &Plan, log: &EventLog, newest: i64) -> EventLog {
    // By the pane's start and length and the kind: the merged record, and the number of its last part, which orders those of one time.
    let mut panes: BTreeMap<(i64, i64, usize, u64), (Record, usize)> = BTreeMap::new();
    let mut number = 0;
    log.each(plan, log.head(), |_, record| {
        let length = pane_length(newest - record.ts);
        let key = (record.ts.div_euclid(length) * length, length, record.rule, record.bits);
        number += 1;
        match panes.get_mut(&key) {
            Some((pane, last)) => {
                pane.merge(plan, record);
                *last = number;
            }
            None => {
                panes.insert(key, (record.clone(), number));
            }
        }
        true
    });
    let mut records: Vec<(Record, usize)> = panes.into_values().collect();
    records.sort_unstable_by_key(|(record, number)| (record.ts, *number));
    let mut compacted = EventLog::new();
    for (record, _) in &records {
        compacted.insert(plan, record);
    }
    compacted
}
