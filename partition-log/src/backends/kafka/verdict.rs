//! What is done with what a transaction left open, by what is seen of it: the rule alone, without a broker.

use std::time::Duration;

/// What others are about to commit is given so long to end by itself.
pub(super) const OTHERS: Duration = Duration::from_secs(2);

/// What is seen of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// Whether an output has an open end.
    pub(super) outputs: bool,
    /// Whether an offset of the group lies in an open transaction.
    pub(super) offsets: bool,
    /// Whether an open end holds what the stable offsets count. Not known, and so `false`, while some are not stable.
    pub(super) counted: bool,
    /// How long this has been looked at.
    pub(super) waited: Duration,
    /// After how long the group goes on without a member that is dead.
    pub(super) session: Duration,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing is open.
    Done,
    /// Look again in a moment.
    Wait,
    /// Commit everything that is open: the offsets, and what was written with them.
    CommitAll,
    /// Commit the ends that hold what counts; the others wait for the next turn.
    CommitCounted,
    /// Abort: the offsets where they are open, or else the ends that do not count.
    Abort {
        /// Offsets that were committed are lost by it: others are at work, and only an empty group takes them.
        loses: bool,
    },
}

/// `shows_more` is whether an output shows what was written with offsets that are not seen, and `has_members` whether anybody is in the
/// group: each a question to the brokers, asked where it matters.
pub(super) fn step<E>(
    found: &Found,
    shows_more: impl FnOnce() -> Result<bool, E>,
    has_members: impl FnOnce() -> Result<bool, E>,
) -> Result<Step, E> {
    if !found.outputs && !found.offsets {
        return Ok(Step::Done);
    }
    if found.counted {
        return Ok(Step::CommitCounted);
    }
    // Most of it is what members that live are working on.
    if found.waited < OTHERS {
        return Ok(Step::Wait);
    }
    // Where outputs show what was written with those offsets, it was committed, and they count too.
    if !found.offsets || !shows_more()? {
        return Ok(Step::Abort { loses: false });
    }
    if !has_members()? {
        return Ok(Step::CommitAll);
    }
    let dead = found.waited >= OTHERS + found.session;
    Ok(if dead { Step::Abort { loses: true } } else { Step::Wait })
}

/// Whether an open end that begins at `begin` holds what the offset counts whose note says that the output ended at `noted`.
pub(super) fn counts(noted: Option<i64>, begin: i64) -> bool {
    noted.is_some_and(|noted| noted > begin)
}

/// From where on records in an output say that more was committed than the newest offset that is seen: from where the output ended by that
/// one's note, or from its beginning at `start` where no offset is seen at all. `None` where they say nothing: without a note the
/// records may be of an earlier transaction, or of another member.
pub(super) fn unseen_from(noted: Option<i64>, has_offset: bool, start: i64) -> Option<i64> {
    match noted {
        Some(noted) => Some(noted.max(start)),
        None if !has_offset => Some(start),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: Duration = Duration::from_secs(10);
    const WAITS: [Duration; 5] = [
        Duration::ZERO,
        Duration::from_millis(1999),
        OTHERS,
        Duration::from_millis(11_999),
        Duration::from_secs(12),
    ];

    /// Everything that can be seen, with what is to be done then.
    fn all() -> Vec<(Found, bool, bool, Step)> {
        let mut all = Vec::new();
        for waited in WAITS {
            for bits in 0..32 {
                let [outputs, offsets, counted, shows, members] =
                    std::array::from_fn(|bit| bits & (1 << bit) != 0);
                // What counts is an open end, and is not known while offsets are open.
                if counted && (!outputs || offsets) {
                    continue;
                }
                let found = Found { outputs, offsets, counted, waited, session: SESSION };
                let step = step::<()>(&found, || Ok(shows), || Ok(members)).expect("nothing fails");
                all.push((found, shows, members, step));
            }
        }
        all
    }

    #[test]
    fn what_is_done_in_every_case() {
        let all = all();
        assert_eq!(all.len(), WAITS.len() * 20);
        for (found, shows, members, step) in all {
            let young = found.waited < OTHERS;
            let expected = match (found.outputs, found.offsets, found.counted) {
                (false, false, _) => Step::Done,
                (true, false, true) => Step::CommitCounted,
                _ if young => Step::Wait,
                (_, false, _) => Step::Abort { loses: false },
                (_, true, _) => match (shows, members) {
                    (false, _) => Step::Abort { loses: false },
                    (true, false) => Step::CommitAll,
                    (true, true) if found.waited < OTHERS + SESSION => Step::Wait,
                    (true, true) => Step::Abort { loses: true },
                },
            };
            assert_eq!(step, expected, "{found:?} shows {shows} members {members}");
        }
    }

    #[test]
    fn nothing_is_committed_that_nothing_speaks_for_and_nothing_lost_in_silence() {
        for (found, shows, members, step) in all() {
            match step {
                Step::CommitAll => assert!(found.offsets && shows && !members, "{found:?}"),
                Step::CommitCounted => assert!(found.counted, "{found:?}"),
                Step::Abort { loses } => {
                    assert!(!found.counted && found.waited >= OTHERS, "{found:?}");
                    assert_eq!(loses, found.offsets && shows, "{found:?}");
                }
                Step::Done | Step::Wait => {}
            }
        }
    }

    #[test]
    fn the_brokers_are_asked_where_it_matters_and_what_they_do_not_answer_decides_nothing() {
        let old = Found { outputs: true, offsets: true, counted: false, waited: OTHERS, session: SESSION };
        let never = || -> Result<bool, &str> { panic!("not asked") };
        for found in [
            Found { offsets: false, ..old },
            Found { outputs: false, offsets: false, ..old },
            Found { offsets: false, counted: true, ..old },
            Found { waited: Duration::ZERO, ..old },
        ] {
            assert!(step(&found, never, never).is_ok());
        }
        assert_eq!(step(&old, || Ok(false), never), Ok(Step::Abort { loses: false }));
        assert_eq!(step(&old, || Err("away"), never), Err("away"));
        assert_eq!(step(&old, || Ok(true), || Err("away")), Err("away"));
    }

    #[test]
    fn notes_say_what_counts() {
        for (noted, begin, expected) in
            [(None, 0, false), (Some(7), 6, true), (Some(7), 7, false), (Some(7), 9, false)]
        {
            assert_eq!(counts(noted, begin), expected, "{noted:?} {begin}");
        }
        for (noted, has_offset, expected) in [
            (Some(7), true, Some(7)),
            (Some(7), false, Some(7)),
            (Some(2), true, Some(3)),
            (None, true, None),
            (None, false, Some(3)),
        ] {
            assert_eq!(unseen_from(noted, has_offset, 3), expected, "{noted:?} {has_offset}");
        }
    }
}
