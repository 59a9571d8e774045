//! How often a group is joined in vain before the process ends.

use std::time::Duration;

/// So many sessions in a row may be refused: what brokers refuse, they will refuse again.
const TRIES: u32 = 8;

/// Sessions that ended without having done their work.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// While brokers answered.
    refused: u32,
    /// In a row, whatever the reason.
    in_vain: u32,
}

/// What became of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It did its work until something happened.
    Worked,
    /// It did nothing although brokers answer.
    Refused,
    /// No broker answers. They come back, however long it takes: their absence ends nothing.
    Unanswered,
    /// It left so as to come anew. Who gives partitions up slowly makes that happen again and again, and is no fault.
    Anew,
}

/// What comes after a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Again { after: Duration },
    GiveUp { times: u32 },
}

impl Tries {
    /// A session ended.
    pub(super) fn ended(&mut self, outcome: Outcome) -> Next {
        if outcome == Outcome::Worked {
            *self = Self::default();
        }
        self.refused += u32::from(outcome == Outcome::Refused);
        self.in_vain += 1;
        if self.refused >= TRIES {
            return Next::GiveUp { times: self.in_vain };
        }
        Next::Again { after: Duration::from_millis(100) * 2_u32.pow(self.in_vain.min(6)) }
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome::{Anew, Refused, Unanswered, Worked};
    use super::*;

    fn ends(tries: &mut Tries, outcomes: &[Outcome]) -> bool {
        outcomes.iter().any(|outcome| matches!(tries.ended(*outcome), Next::GiveUp { .. }))
    }

    #[test]
    fn brokers_that_refuse_end_it_and_brokers_that_are_away_do_not() {
        let mut tries = Tries::default();
        assert!(!ends(&mut tries, &[Unanswered; 1000]), "a day of silence");
        assert!(!ends(&mut tries, &[Refused; 7]));
        assert!(!ends(&mut tries, &[Unanswered; 10]));
        assert!(!ends(&mut tries, &[Anew; 100]), "another gives its partitions up slowly");
        assert_eq!(tries.ended(Refused), Next::GiveUp { times: 1118 });
    }

    #[test]
    fn work_forgives_what_was_before_it() {
        let mut tries = Tries::default();
        assert!(!ends(&mut tries, &[Refused; 7]));
        assert!(!ends(&mut tries, &[Worked]));
        assert!(!ends(&mut tries, &[Refused; 7]));
        assert_eq!(tries.ended(Refused), Next::GiveUp { times: 9 });
    }

    #[test]
    fn the_longer_in_vain_the_longer_the_wait_but_never_long() {
        let mut tries = Tries::default();
        let waits: Vec<_> = (0..9).map(|_| tries.ended(Unanswered)).collect();
        let after = |ms| Next::Again { after: Duration::from_millis(ms) };
        assert_eq!(waits[..3], [after(200), after(400), after(800)]);
        assert_eq!(waits[8], after(6400));
    }
}
