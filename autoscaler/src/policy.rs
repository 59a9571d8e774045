//! The seam of policies, and the rules that hold whatever the policy.

use std::collections::VecDeque;
use std::time::Duration;

use crate::limits::UsefulCounts;
use crate::{Action, Decision, Limits, Numbers, Observation, PartitionStatus, Reason};

/// A rule for how many workers a consumer needs. Pure: the answer follows from the arguments alone.
///
/// The rules that no policy may break (bounds, cooldown, frozen without telemetry, only numbers that help) are not its
/// business: [`decide`] applies them to every policy's wish.
pub trait Policy: Send + Sync {
    /// Its name, as users write it.
    fn name(&self) -> &'static str;

    /// How far back it looks in the history.
    fn memory(&self) -> Duration;

    /// How many workers it wants, where `current` are desired now. `seen` holds no stuck partition, at least one partition,
    /// and the lag in events of each; other numbers in it may be unknown. `past` does not hold `seen` yet.
    fn wish(&self, seen: &Observation, past: &History, current: u32) -> Wish;
}

/// What a policy wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// How many workers.
    pub workers: u32,
    /// Why, from the closed list.
    pub reason: Reason,
    /// Why, in words with numbers.
    pub words: String,
}

/// What was seen and decided so far, as far back as the policy looks. The caller keeps it between decisions, one for each
/// consumer; equal histories give equal decisions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    past: VecDeque<Past>,
    desired: Option<u32>,
    changed: Option<(Duration, Action)>,
}

/// One observation of before, in short; of partitions that were not stuck.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Past {
    /// When.
    pub at: Duration,
    /// How many workers were desired from then on.
    pub desired: u32,
    /// Records that waited; `None` if not known of each partition.
    pub lag_events: Option<u64>,
    /// The age of the oldest in seconds; `None` if not known of each partition.
    pub lag_seconds: Option<f64>,
}

/// More observations than this are not kept, however far back the policy looks.
const MOST_KEPT: usize = 4096;

impl History {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was seen, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Past> {
        self.past.iter().rev()
    }

    /// When the number desired was changed last, and how.
    #[must_use]
    pub fn last_change(&self) -> Option<(Duration, Action)> {
        self.changed
    }

    fn remember(&mut self, decision: &Decision, memory: Duration) {
        if decision.action != Action::Hold {
            self.changed = Some((decision.at, decision.action));
        }
        self.desired = Some(decision.desired);
        self.past.push_back(Past {
            at: decision.at,
            desired: decision.desired,
            lag_events: decision.numbers.lag_events,
            lag_seconds: decision.numbers.lag_seconds,
        });
        // One at least as old as the memory stays, so that "all along" can be told from "since it began".
        let enough = |second: &Past| decision.at.saturating_sub(second.at) >= memory;
        while self.past.len() > MOST_KEPT || self.past.get(1).is_some_and(enough) {
            self.past.pop_front();
        }
    }
}

/// Decides how many workers there shall be, and remembers it.
///
/// - While the lag of a partition is not known the number stays: growing or shrinking blindly can only harm.
/// - Stuck partitions are left out of what the policy sees, and while there are any the number is not lowered: a partition whose state is being
///   restored looks stuck to who sees nothing but commits, and taking its worker away would have it restored once more.
/// - The number is within the limits, always; the first decision brings it there.
/// - After a change it is not changed in the opposite direction, nor lowered further, before the cooldown has passed, and not
///   raised further before the settling time has.
/// - Of the numbers that do the same the smallest is taken.
///
/// O(partitions x max workers) for the last rule.
pub fn decide(policy: &dyn Policy, limits: &Limits, history: &mut History, seen: &Observation) -> Decision {
    let (live, stuck) = seen.without_stuck();
    let before = history.desired.unwrap_or(seen.workers);
    let base = limits.clamp(before);
    let wish = if let Some(words) = missing(&live) {
        Wish { workers: base, reason: Reason::TelemetryMissing, words }
    } else if live.partitions.is_empty() {
        let words = format!("all {stuck} partitions are stuck, which more or fewer workers do not cure");
        Wish { workers: base, reason: Reason::Stuck, words }
    } else {
        policy.wish(&live, history, base)
    };
    let wished = wish.workers;
    let (desired, reason, words) = if base == before {
        allow(wish, base, limits, history, &live, stuck)
    } else {
        let words =
            format!("{before} workers are outside the bounds of {} to {}", limits.min(), limits.max());
        (base, Reason::Bounds, words)
    };
    let action = match desired.cmp(&before) {
        std::cmp::Ordering::Greater => Action::Grow,
        std::cmp::Ordering::Less => Action::Shrink,
        std::cmp::Ordering::Equal => Action::Hold,
    };
    let numbers = Numbers {
        workers: seen.workers,
        desired_before: before,
        wished,
        lag_events: live.lag_events(),
        lag_seconds: live.lag_seconds(),
        arrival_rate: live.arrival_rate(),
        service_rate: live.service_rate(),
        partitions: u32::try_from(live.partitions.len()).unwrap_or(u32::MAX),
        stuck,
    };
    let decision = Decision { at: seen.at, desired, action, reason, words, numbers };
    history.remember(&decision, policy.memory());
    decision
}

/// Which partitions' lag is not known, in words; `None` if it is known of each.
fn missing(live: &Observation) -> Option<String> {
    let unknown =
        |p: &&crate::PartitionObservation| p.lag_events.is_none() || p.status == PartitionStatus::Unknown;
    let mut ids = live.partitions.iter().filter(unknown).map(|p| p.partition);
    let first = ids.next()?;
    Some(match ids.count() {
        0 => format!("the lag of partition {first} is unknown"),
        more => format!("the lag of partition {first} and {more} more is unknown"),
    })
}

/// The number that comes of a wish under the limits, with the reason that weighed most.
fn allow(
    wish: Wish,
    base: u32,
    limits: &Limits,
    history: &History,
    live: &Observation,
    stuck: u32,
) -> (u32, Reason, String) {
    let Wish { workers: wished, reason, words } = wish;
    if wished == base {
        return (base, reason, words);
    }
    let target = limits.clamp(wished);
    if target == base {
        let bound = if wished > base { "most" } else { "fewest" };
        return (base, Reason::Bounds, format!("{words}; but {base} is the {bound} allowed"));
    }
    if target < base && stuck > 0 {
        let words = format!("{words}; but {stuck} partitions are stuck, and it is not known by what");
        return (base, Reason::Stuck, words);
    }
    let loads: Vec<f64> =
        live.partitions.iter().map(|p| p.arrival_rate).collect::<Option<_>>().unwrap_or_default();
    // Rates that are not known count as equal.
    let loads = if loads.is_empty() { vec![1.0; live.partitions.len()] } else { loads };
    let counts = UsefulCounts::new(&loads, limits.max());
    let same = limits.clamp(counts.same_for_less(target));
    let target = match (wished > base, same > base) {
        (true, false) => match counts.next_above(base) {
            Some(next) => next,
            None => {
                let words = format!(
                    "{words}; but {} partitions do not divide better over more than {base}",
                    loads.len()
                );
                return (base, Reason::NoHelp, words);
            }
        },
        _ => same,
    };
    if let Some((changed_at, last)) = history.changed {
        let pause = if target > base && last == Action::Grow { limits.settle } else { limits.cooldown };
        let passed = live.at.saturating_sub(changed_at);
        if passed < pause {
            let left = (pause - passed).as_secs_f64();
            let words = format!(
                "{words}; wants {target}, but the last change was {:.0} s ago: {left:.0} s to wait",
                passed.as_secs_f64()
            );
            return (base, Reason::Cooldown, words);
        }
    }
    (target, reason, words)
}

#[cfg(test)]
mod tests;
