//! Which scores of a day become rows: at most so many of each user, chosen by hash.
//!
//! A day is the stretch of a partition's log from one tick to the next; it begins with the tick's sweep. Choosing among a user's
//! scores of the day evenly is the live mix of triggers with one weight per user and day. The choice depends on user, tick and
//! the score's number among the user's on that day, so not on the partitions; and on nothing behind the next tick.

use hashbrown::HashMap;
use types::EventTime;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The day that a partition's replay is in.
#[derive(Debug, Default)]
pub(super) struct Day {
    tick: EventTime,
    per_day: u32,
    picks: HashMap<u32, Pick>,
}

/// What was chosen of a user's scores so far.
#[derive(Debug, Default)]
struct Pick {
    seen: u32,
    too_new: bool,
    /// Hash and row, the smallest hash first.
    kept: Vec<(u64, usize)>,
}

/// What to do with a score.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// It becomes a row of its own.
    Add,
    /// It takes the place of this row.
    Replace(usize),
    /// Nothing.
    Pass,
}

impl Day {
    /// Begins the day of a tick; the one before must be closed.
    pub(super) fn begin(&mut self, tick: EventTime, per_day: u32) {
        self.tick = tick;
        self.per_day = per_day;
    }

    /// Decides about the next score of a user; `next` is the row that it becomes if it is added.
    pub(super) fn choose(&mut self, number: u32, user: &str, next: usize) -> Choice {
        let pick = self.picks.entry(number).or_default();
        let seed = self.tick.0.cast_unsigned() ^ (u64::from(pick.seen) << 48);
        let hash = xxh3_64_with_seed(user.as_bytes(), seed);
        pick.seen += 1;
        let at = pick.kept.partition_point(|(other, _)| *other <= hash);
        if pick.kept.len() < self.per_day as usize {
            pick.kept.insert(at, (hash, next));
            return Choice::Add;
        }
        match pick.kept.last().copied() {
            Some((_, row)) if at < pick.kept.len() => {
                pick.kept.pop();
                pick.kept.insert(at, (hash, row));
                Choice::Replace(row)
            }
            _ => Choice::Pass,
        }
    }

    /// Notes that a user's score was passed over for want of history.
    pub(super) fn too_new(&mut self, number: u32) {
        self.picks.entry(number).or_default().too_new = true;
    }

    /// Ends the day: hands out each chosen row with its weight, and returns how many users were too new for any.
    pub(super) fn close(&mut self, mut row: impl FnMut(usize, f32)) -> u64 {
        let mut too_new = 0;
        // The order does not matter: each row is handed out once.
        for (_, pick) in self.picks.drain() {
            too_new += u64::from(pick.kept.is_empty() && pick.too_new);
            let weight = 1.0 / pick.kept.len() as f32;
            pick.kept.iter().for_each(|(_, at)| row(*at, weight));
        }
        too_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_score_of_a_day_is_as_likely_as_the_others() {
        let mut chosen = [0; 4];
        for user in 0..4_000_u32 {
            let mut day = Day::default();
            day.begin(EventTime(86_400_000), 1);
            let mut row = None;
            for score in 0..4 {
                match day.choose(user, &format!("u{user}"), 0) {
                    Choice::Add | Choice::Replace(0) => row = Some(score),
                    _ => {}
                }
            }
            chosen[row.unwrap_or(9)] += 1;
        }
        assert!(chosen.iter().all(|count| (900..1_100).contains(count)), "{chosen:?}");
    }

    #[test]
    fn the_rows_of_a_user_and_day_weigh_one() {
        let mut day = Day::default();
        day.begin(EventTime(0), 3);
        let mut rows = 0;
        for _ in 0..10 {
            rows += usize::from(day.choose(7, "u7", rows) == Choice::Add);
        }
        day.choose(8, "u8", rows);
        day.too_new(9);
        let mut weights = vec![0.0; 4];
        assert_eq!(day.close(|row, weight| weights[row] = weight), 1);
        assert_eq!(weights, [1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 1.0]);
    }
}
