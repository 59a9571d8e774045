//! What a bundle must show before it becomes the champion, and saying so.

use std::sync::Arc;

use anyhow::ensure;
use backtest::{Ticks, Watched};
use clap::{Args, ValueEnum};
use feature_store::Spec;
use partition_log::Log;
use scorer::drift::Verdict;
use scorer::{Baseline, Bundle, Gate, Rules, SameRows, gates};
use types::EventTime;

use super::date;

/// Where the gates stand.
#[derive(Args)]
pub(crate) struct GateArgs {
    /// How much AUC it may have less than the champion.
    #[arg(long, default_value_t = Rules::default().auc_loss, value_name = "N")]
    max_auc_loss: f64,
    /// The largest calibration error allowed, beyond what chance makes of so many users.
    #[arg(long, default_value_t = Rules::default().calibration_error, value_name = "N")]
    max_calibration_error: f64,
    /// Pass over a gate; can be given more than once.
    #[arg(long, value_name = "GATE")]
    skip: Vec<GateName>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum GateName {
    Auc,
    Calibration,
    Drift,
}

impl GateName {
    const fn word(self) -> &'static str {
        match self {
            Self::Auc => "auc",
            Self::Calibration => "calibration",
            Self::Drift => "drift",
        }
    }
}

impl GateArgs {
    /// Says how each gate decided; `same_rows` are bundle and champion on the same rows or why there are none, `drift` is the gate of
    /// that name. Of a challenger only `spec` is asked.
    ///
    /// # Errors
    /// If a gate fails that is not passed over; all that do are named.
    pub(crate) fn pass(
        &self,
        bundle: &Bundle,
        champion: Option<&Bundle>,
        same_rows: Result<&SameRows, &str>,
        drift: Gate,
        is_challenger: bool,
    ) -> anyhow::Result<()> {
        let rules = Rules { auc_loss: self.max_auc_loss, calibration_error: self.max_calibration_error };
        let mut all = gates(bundle, champion, same_rows, &rules);
        all.push(drift);
        let mut failed = Vec::new();
        for gate in all {
            let skipped = gate.name != "spec"
                && (is_challenger || self.skip.iter().any(|skip| skip.word() == gate.name));
            let outcome = match (gate.passed, skipped) {
                (true, _) => "passed",
                (false, true) => "skipped",
                (false, false) => "FAILED",
            };
            eprintln!("gate {:<12} {outcome:<8} {}", gate.name, gate.detail);
            if !gate.passed && !skipped {
                failed.push(gate.name);
            }
        }
        ensure!(
            failed.is_empty(),
            "not promoted: the bundle {} does not pass {} (--skip passes over a gate, except spec)",
            bundle.hash(),
            failed.join(", ")
        );
        Ok(())
    }
}

/// The users of the newest tick against a bundle's training; `None` if no user lived at any tick.
pub(crate) fn newest_tick(
    log: &dyn Log,
    topic: &str,
    spec: &Arc<Spec>,
    bundle: &Bundle,
    progress: impl FnMut(u64),
) -> anyhow::Result<Option<Watched>> {
    bundle.check_spec(&spec.hash().to_string(), spec.feature_names())?;
    let newest = Ticks::LastBefore(EventTime(i64::MAX));
    Ok(backtest::watch(log, topic, spec, bundle, newest, progress)?.pop())
}

/// The gate `drift` of a first champion: there is nothing that it could be worse than.
pub(crate) fn not_looked_at() -> Gate {
    let detail = "not looked at: the first champion".to_owned();
    Gate { name: "drift", passed: true, detail }
}

/// The gate `drift`: the scores have not moved, and at most one feature in ten has, of those that do not move with the log's age.
pub(crate) fn drift(tick: Option<&Watched>) -> Gate {
    let gate = |passed: bool, detail: String| Gate { name: "drift", passed, detail };
    let Some(tick) = tick else { return gate(false, "no tick with a living user".to_owned()) };
    let known = tick.deciding().filter(|feature| feature.verdict.is_some()).count();
    if known == 0 {
        return gate(false, format!("not enough data: {} users at {}", tick.users, date(tick.as_of)));
    }
    let moved: Vec<&str> =
        tick.deciding().filter(|f| f.verdict == Some(Verdict::Moved)).map(|f| f.name.as_str()).collect();
    let detail = format!(
        "{} of {known} features and scores moved at {}{}{}",
        moved.len(),
        date(tick.as_of),
        if moved.is_empty() { "" } else { ": " },
        moved.iter().take(3).copied().collect::<Vec<_>>().join(", ")
    );
    gate(!moved.contains(&Baseline::SCORE) && moved.len() * 10 <= known, detail)
}

#[cfg(test)]
mod tests {
    use backtest::Feature;

    use super::*;

    /// A tick with twenty features and the scores; those that `moved`, in front, and `unknown` ones, at the end.
    fn tick(moved: usize, scores_moved: bool, unknown: usize) -> Watched {
        let feature = |name: String, has_moved: bool, known: bool| Feature {
            name,
            drift: None,
            verdict: known.then_some(if has_moved { Verdict::Moved } else { Verdict::Stable }),
            ageing: false,
        };
        let features = (0..20).map(|at| feature(format!("f{at}"), at < moved, at < 20 - unknown));
        let scores = feature(Baseline::SCORE.to_owned(), scores_moved, unknown < 20);
        Watched {
            as_of: EventTime(0),
            users: 1_000,
            features: features.chain([scores]).collect(),
            expected: None,
        }
    }

    #[test]
    fn it_is_drift_when_the_scores_moved_or_more_than_a_tenth() {
        for (moved, scores_moved, passes) in
            [(0, false, true), (1, false, true), (2, false, true), (3, false, false), (0, true, false)]
        {
            let gate = drift(Some(&tick(moved, scores_moved, 0)));
            assert_eq!(gate.passed, passes, "{moved} {scores_moved}: {gate:?}");
        }
        assert!(drift(Some(&tick(1, false, 10))).passed, "one of eleven");
        assert!(!drift(Some(&tick(1, false, 12))).passed, "one of nine");
        assert!(!drift(Some(&tick(0, false, 20))).passed, "nothing is known");
        assert!(!drift(None).passed);
    }
}
