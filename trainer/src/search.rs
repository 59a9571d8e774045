//! A bounded search for better parameters, judged on users held out.

use crate::fit::trial;
use crate::params::mix;
use crate::{Algorithm, Params, Round, Rows, TrainError};

/// A trial that is this much worse than the best one, over the parts that it has seen, is not worth the others.
const HOPELESS: f64 = 1.02;

/// A trial of the search, for showing progress.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// This trial, from 1; the first is of the parameters as they were given.
    pub number: u32,
    /// Trials in all.
    pub of: u32,
    /// What was tried.
    pub params: Params,
    /// The mean loss of a held-out row, in nats.
    pub loss: f64,
    /// The lowest loss so far.
    pub least: f64,
}

/// What a search came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The best parameters tried.
    pub params: Params,
    /// Their loss on users held out, in nats a row.
    pub loss: f64,
    /// The loss of the parameters that it began with.
    pub began: f64,
    /// Trials made.
    pub trials: u32,
}

/// Tries `trials` sets of parameters, the given ones first and the others drawn by their seed, and returns the one with the
/// lowest loss on users held out. The same rows, parameters and number give the same result. If nobody can be held out, or the
/// algorithm has nothing to draw, the given parameters are returned after no trial.
///
/// `rounds` is called after every round, `progress` after every trial.
///
/// # Errors
/// As [`fit`](crate::fit()).
pub fn search(
    rows: &Rows,
    params: &Params,
    trials: u32,
    mut rounds: impl FnMut(&Round),
    mut progress: impl FnMut(&Trial),
) -> Result<Found, TrainError> {
    rows.check()?;
    params.check(&rows.names)?;
    let fits = params.parts_held_out(rows);
    let mut found = Found { params: params.clone(), loss: f64::INFINITY, began: f64::INFINITY, trials: 0 };
    // The penalty of logistic regression is searched by every fit.
    let trials = if params.algorithm == Algorithm::Logistic { 0 } else { trials };
    let mut worth: Vec<f64> = Vec::new();
    for number in 1..=trials {
        let tried = if number == 1 { params.clone() } else { draw(params, number) };
        let judged = trial(rows, &tried, &worth, &mut |round| rounds(&Round { fits, ..round }))?;
        let Some(judged) = judged else { break };
        if number == 1 {
            found.began = judged.loss;
        }
        // A trial that was given up is not compared: it has not seen all parts.
        if judged.losses.len() == fits as usize && judged.loss < found.loss {
            (found.loss, found.params) = (judged.loss, tried.clone());
            worth = judged.losses.iter().map(|loss| loss * HOPELESS).collect();
        }
        found.trials = number;
        progress(&Trial { number, of: trials, params: tried, loss: judged.loss, least: found.loss });
    }
    Ok(found)
}

/// The parameters of a trial.
fn draw(params: &Params, number: u32) -> Params {
    let mut state = mix(u64::from(params.seed) << 32 | u64::from(number));
    let mut one_of = |choices: &[f32]| {
        state = mix(state);
        choices[(state % choices.len() as u64) as usize]
    };
    let mut drawn = params.clone();
    match params.algorithm {
        Algorithm::Forest => {
            drawn.max_depth = one_of(&[4.0, 5.0, 6.0, 7.0, 8.0]) as u32;
            drawn.min_child_weight = one_of(&[0.2, 0.5, 1.0, 2.0, 5.0]);
            drawn.row_share = one_of(&[0.4, 0.632, 0.8]);
        }
        Algorithm::Xgboost | Algorithm::Logistic => {
            drawn.learning_rate = one_of(&[0.02, 0.03, 0.05, 0.08]);
            // Who learns more slowly gets as far with more rounds, and no farther with as many.
            let slower = (params.learning_rate / drawn.learning_rate).clamp(1.0, 4.0);
            drawn.max_rounds = (params.max_rounds as f32 * slower).ceil() as u32;
            drawn.max_depth = one_of(&[2.0, 3.0, 4.0, 5.0, 6.0]) as u32;
            drawn.min_child_weight = one_of(&[1.0, 3.0, 10.0, 30.0]);
            drawn.row_share = one_of(&[0.5, 0.7, 0.9]);
            drawn.feature_share = one_of(&[0.3, 0.5, 0.8]);
            drawn.lambda = one_of(&[1.0, 3.0, 10.0, 30.0]);
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_valid_differ_and_repeat() {
        for algorithm in Algorithm::ALL {
            let params = Params::of(algorithm);
            for number in 2..200 {
                draw(&params, number).check(&[]).unwrap();
                assert_eq!(draw(&params, number), draw(&params, number));
            }
        }
        let params = Params::default();
        let depths: std::collections::BTreeSet<u32> =
            (2..100).map(|number| draw(&params, number).max_depth).collect();
        assert_eq!(depths.len(), 5);
        let rounds = |number| {
            let drawn = draw(&params, number);
            (drawn.learning_rate.to_bits(), drawn.max_rounds)
        };
        let drawn: std::collections::BTreeSet<_> = (2..100).map(rounds).collect();
        let expected = [(0.02_f32, 1250), (0.03, 834), (0.05, 500), (0.08, 500)];
        assert_eq!(drawn, expected.map(|(rate, rounds)| (rate.to_bits(), rounds)).into());
        assert_ne!(draw(&params, 2), draw(&Params { seed: 2, ..params.clone() }, 2));
    }
}
