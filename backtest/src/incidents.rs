//! What happened on each day of a log, for a watch on the mix and the volume of events.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use partition_log::{Log, RecordBuf};
use scorer::drift::DayCounts;
use types::{Event, EventTime, Millis, Offset, PartitionId, SystemEvent};
use xxhash_rust::xxh3::xxh3_64;

use crate::BacktestError;

/// Types of events that are told apart; of more, those seen later are counted without.
const KINDS: usize = 128;

/// An event so far behind the newest of its partition is not counted: its day is closed.
const LATE: i64 = 2;

/// Days that a log may cover: more are a mistake in some event's time.
const MOST_DAYS: i64 = 20_000;

/// The days of a log.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    /// The first of the days: the midnight (UTC) that it begins with. Where retention has removed the log's beginning, the first of which
    /// it still holds everything.
    pub first: EventTime,
    /// Every day from then on, up to the newest that is over: an event of a later day does not tell that, a tick does.
    pub days: Vec<DayCounts>,
    /// The types of events, sorted: the order of [`DayCounts::with`].
    pub kinds: Vec<String>,
    /// Events that were not counted, because they are more than a day ahead of their arrival or two days behind others.
    pub out_of_time: u64,
}

/// What is counted while a partition is read.
#[derive(Default)]
struct Open {
    /// The types of each user's events, for each day that is not closed.
    users: BTreeMap<i64, HashMap<u64, u128>>,
    newest: i64,
}

/// Counts the events of each day and its users, all types but those that are passed over. Memory: the users of about three days, and
/// the counts. `progress` is told the number of records read.
///
/// # Errors
/// If there is no such topic, the log cannot be read, or it covers more days than can be.
pub fn count_days(
    log: &dyn Log,
    topic: &str,
    ignore: &[String],
    mut progress: impl FnMut(u64),
) -> Result<Counted, BacktestError> {
    let Some(config) = log.topic(topic)? else {
        return Err(BacktestError::NoTopic { topic: topic.to_owned(), place: log.place() });
    };
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut tallies: BTreeMap<i64, DayCounts> = BTreeMap::new();
    let (mut records, mut read, mut out_of_time) = (RecordBuf::default(), 0, 0);
    let mut ticked = i64::MIN;
    // The first day that every partition still holds whole.
    let mut whole = i64::MIN;
    for partition in (0..config.partitions).map(PartitionId) {
        let mut open = Open { newest: i64::MIN, ..Open::default() };
        let start = log.bounds(topic, partition)?.start;
        let mut reader = log.reader(topic, partition, start)?;
        let mut oldest = i64::MAX;
        loop {
            records.clear();
            if reader.read(&mut records, 1 << 20)? == 0 {
                break;
            }
            for record in records.iter() {
                let mut event = Event::default();
                // What is no event is the consumer's business.
                if event.decode(record.value).is_err() {
                    continue;
                }
                if let Ok(Some(system)) = event.system() {
                    if matches!(system, SystemEvent::Tick) {
                        ticked = ticked.max(event.ts.0.div_euclid(Millis::DAY.0));
                    }
                    continue;
                }
                if ignore.iter().any(|kind| *kind == event.kind) {
                    continue;
                }
                let day = event.ts.0.div_euclid(Millis::DAY.0);
                let is_ahead = event.ts.0 > record.timestamp.0.saturating_add(Millis::DAY.0);
                let is_far_behind =
                    record.timestamp.0.saturating_sub(event.ts.0) / Millis::DAY.0 >= MOST_DAYS;
                if is_ahead || is_far_behind || day < open.newest.saturating_sub(LATE) {
                    out_of_time += 1;
                    continue;
                }
                open.newest = open.newest.max(day);
                oldest = oldest.min(day);
                let next = numbers.len();
                let number = *numbers.entry_ref(&*event.kind).or_insert(next);
                let bit = if number < KINDS { 1 << number } else { 0 };
                *open.users.entry(day).or_default().entry(xxh3_64(event.entity.as_bytes())).or_default() |=
                    bit;
                tallies.entry(day).or_default().events += 1;
            }
            read += records.len() as u64;
            open.close(open.newest.saturating_sub(LATE), &mut tallies);
            progress(read);
        }
        open.close(i64::MAX, &mut tallies);
        if start > Offset::ZERO && oldest < i64::MAX {
            whole = whole.max(oldest + LATE + 1);
        }
    }
    tallies.retain(|day, _| *day >= whole);
    // The newest day may not be over yet; a tick after it says that it is.
    if let Some(last) = tallies.last_entry().filter(|last| *last.key() >= ticked) {
        last.remove();
    }
    finish(tallies, &numbers, out_of_time)
}

impl Open {
    /// Adds the days before `end` to the counts.
    fn close(&mut self, end: i64, tallies: &mut BTreeMap<i64, DayCounts>) {
        while let Some(day) = self.users.first_entry().filter(|day| *day.key() < end) {
            let (day, users) = day.remove_entry();
            let tally = tallies.entry(day).or_default();
            tally.users += users.len() as u64;
            tally.with.resize(KINDS, 0);
            // The order does not matter: whole numbers are added up.
            for (_, mut kinds) in users {
                while kinds != 0 {
                    tally.with[kinds.trailing_zeros() as usize] += 1;
                    kinds &= kinds - 1;
                }
            }
        }
    }
}

fn finish(
    mut tallies: BTreeMap<i64, DayCounts>,
    numbers: &HashMap<String, usize>,
    out_of_time: u64,
) -> Result<Counted, BacktestError> {
    let (Some((&first, _)), Some((&last, _))) = (tallies.first_key_value(), tallies.last_key_value()) else {
        return Ok(Counted { out_of_time, ..Counted::default() });
    };
    if last - first >= MOST_DAYS {
        return Err(BacktestError::NothingToJudge(format!(
            "the log covers {} days: some event's time must be wrong",
            last - first + 1
        )));
    }
    let mut kinds: Vec<(&String, usize)> =
        numbers.iter().map(|(kind, number)| (kind, *number)).filter(|(_, number)| *number < KINDS).collect();
    kinds.sort_unstable();
    let days = (first..=last).map(|day| {
        let tally = tallies.remove(&day).unwrap_or_default();
        let with = kinds.iter().map(|(_, number)| tally.with.get(*number).copied().unwrap_or(0)).collect();
        DayCounts { with, ..tally }
    });
    Ok(Counted {
        first: EventTime(first * Millis::DAY.0),
        days: days.collect(),
        kinds: kinds.iter().map(|(kind, _)| (*kind).clone()).collect(),
        out_of_time,
    })
}
