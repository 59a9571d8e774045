//! How often a group is joined in vain before the process ends.

use std::time::Duration;

/// So many sessions in a row may end without a commit while brokers answer: what they refuse, they will refuse again.
const TRIES: u32 = 8;

/// Sessions that ended without a commit.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// While brokers answered.
    refused: u32,
    /// In a row, whatever the reason.
    in_vain: u32,
}

/// What comes after a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Again { after: Duration },
    GiveUp { times: u32 },
}

impl Tries {
    /// A session ended after so many commits; `answered` says whether a broker answers now. Brokers that are away come back, however
    /// long it takes: their absence ends nothing.
    pub(super) fn ended(&mut self, commits: u32, answered: bool) -> Next {
        if commits > 0 {
            *self = Self::default();
        }
        self.refused += u32::from(answered);
        self.in_vain += 1;
        if self.refused >= TRIES {
            return Next::GiveUp { times: self.in_vain };
        }
        Next::Again { after: Duration::from_millis(100) * 2_u32.pow(self.in_vain.min(6)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(tries: &mut Tries, sessions: &[(u32, bool)]) -> bool {
        sessions
            .iter()
            .any(|(commits, answered)| matches!(tries.ended(*commits, *answered), Next::GiveUp { .. }))
    }

    #[test]
    fn brokers_that_refuse_end_it_and_brokers_that_are_away_do_not() {
        let mut tries = Tries::default();
        assert!(!ends(&mut tries, &[(0, false); 1000]), "a day of silence");
        assert!(!ends(&mut tries, &[(0, true); 7]));
        assert!(!ends(&mut tries, &[(0, false); 10]));
        assert_eq!(tries.ended(0, true), Next::GiveUp { times: 1018 });
    }

    #[test]
    fn a_commit_forgives_what_was_before_it() {
        let mut tries = Tries::default();
        assert!(!ends(&mut tries, &[(0, true); 7]));
        assert!(!ends(&mut tries, &[(3, true)]));
        assert!(!ends(&mut tries, &[(0, true); 6]));
        assert_eq!(tries.ended(0, true), Next::GiveUp { times: 8 });
    }

    #[test]
    fn the_longer_in_vain_the_longer_the_wait_but_never_long() {
        let mut tries = Tries::default();
        let waits: Vec<_> = (0..9).map(|_| tries.ended(0, false)).collect();
        let after = |ms| Next::Again { after: Duration::from_millis(ms) };
        assert_eq!(waits[..3], [after(200), after(400), after(800)]);
        assert_eq!(waits[8], after(6400));
    }
}
