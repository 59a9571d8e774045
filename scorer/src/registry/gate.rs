//! What a bundle must show before it becomes the champion.

use std::collections::BTreeMap;

use crate::{Bundle, Label, Manifest};

/// Where the gates stand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// How much AUC a bundle may have less than the champion.
    pub auc_loss: f64,
    /// The largest mean difference between probabilities and shares.
    pub calibration_error: f64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { auc_loss: 0.01, calibration_error: 0.05 }
    }
}

/// One of the gates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// Its name.
    pub name: &'static str,
    /// Whether the bundle passes.
    pub passed: bool,
    /// The numbers that decide, in words.
    pub detail: String,
}

/// A bundle and the champion on the same rows, of which neither learnt the outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct SameRows {
    /// Which rows, in words.
    pub rows: String,
    /// What came out on all rows, under the empty name, and on those of one cause, under `_event` and `_sweep`, where there are enough.
    pub gains: BTreeMap<&'static str, Gain>,
}

impl SameRows {
    /// With more said of the rows.
    #[must_use]
    pub fn noting(mut self, note: &str) -> Self {
        self.rows += note;
        self
    }
}

/// How much better a bundle ranks rows than the champion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gain {
    /// The bundle's AUC.
    pub auc: f64,
    /// The champion's.
    pub champion: f64,
    /// How much more the bundle has.
    pub gain: f64,
    /// The lower end of the gain's interval, of 95 % over users, both models with the same users drawn.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The gates that a bundle decides alone or beside the champion: `spec`, `auc` and `calibration`. What a bundle does not say does not
/// pass.
///
/// AUCs are those on the same rows. Where there are none, `same_rows` says why, and each bundle's own test stands in: of other rows,
/// which may have been easier. AUC and calibration are judged on all rows, on those of events, and on those of sweeps, as far as the
/// bundle measured these apart or the champion did.
#[must_use]
pub fn gates(
    bundle: &Bundle,
    champion: Option<&Bundle>,
    same_rows: Result<&SameRows, &str>,
    rules: &Rules,
) -> Vec<Gate> {
    let champion = champion.map(Bundle::manifest);
    vec![
        spec(bundle.manifest(), champion),
        auc(bundle.manifest(), champion.map(|champion| (champion, same_rows)), rules),
        calibration(bundle.manifest(), rules),
    ]
}

fn spec(bundle: &Manifest, champion: Option<&Manifest>) -> Gate {
    let (passed, detail) = match champion {
        _ if bundle.is_of_table() => (
            false,
            "it is the model of a customer table, and no consumer has such rows: `churnstream score` scores tables with it".to_owned(),
        ),
        None => (true, format!("spec {}; there is no champion to differ from", bundle.spec_hash)),
        Some(champion) if champion.spec_hash != bundle.spec_hash => (
            false,
            format!(
                "it scores rows of the spec {}, the champion of {}: another spec needs a registry and a store of its own",
                bundle.spec_hash, champion.spec_hash
            ),
        ),
        Some(champion) if champion.horizon != bundle.horizon => {
            (false, format!("it looks {} ahead, the champion {}", bundle.horizon, champion.horizon))
        }
        Some(champion) if champion.label.is_some() && champion.label != bundle.label => {
            let said =
                |of: &Manifest| of.label.as_ref().map_or_else(|| "it does not say".into(), Label::to_string);
            (
                false,
                format!("it foresees another loss ({}) than the champion ({})", said(bundle), said(champion)),
            )
        }
        Some(_) => {
            (true, format!("spec {} and horizon {} as the champion", bundle.spec_hash, bundle.horizon))
        }
    };
    Gate { name: "spec", passed, detail }
}

/// The ends of the names of metrics of all rows, and of those of one cause each, with words for them.
const PARTS: [(&str, &str); 3] = [("", "all"), ("_event", "events"), ("_sweep", "sweeps")];

/// Judges each part of the rows, and puts together what is to be said of them. A part that neither bundle knows is passed over.
fn of_parts(name: &'static str, mut part: impl FnMut(&str) -> Option<(bool, String)>) -> Gate {
    let parts: Vec<_> = PARTS.iter().filter_map(|(end, word)| Some((word, part(end)?))).collect();
    let passed = parts.iter().all(|(_, (passed, _))| *passed);
    let detail: Vec<String> = parts
        .into_iter()
        .map(|(word, (passed, detail))| format!("{word}{}: {detail}", if passed { "" } else { " FAILED" }))
        .collect();
    Gate { name, passed, detail: detail.join("; ") }
}

fn auc(bundle: &Manifest, champion: Option<(&Manifest, Result<&SameRows, &str>)>, rules: &Rules) -> Gate {
    let allowed = rules.auc_loss;
    let mut gate = of_parts("auc", |part| {
        let gain = champion.and_then(|(_, same)| same.ok()?.gains.get(part));
        if let Some(Gain { auc, champion, gain, low, high }) = gain {
            let detail = format!(
                "AUC {auc:.4}, the champion's {champion:.4}: {gain:+.4} ({low:+.4} to {high:+.4}), at most {allowed} less allowed"
            );
            return Some((*gain >= -allowed, detail));
        }
        let of = |manifest: &Manifest| manifest.metrics.get(&format!("auc{part}")).copied();
        let own = if champion.is_some_and(|(_, same)| same.is_ok()) { " (each on its own test)" } else { "" };
        Some(match (of(bundle), champion.and_then(|(champion, _)| of(champion))) {
            (None, None) if !part.is_empty() => return None,
            (None, _) => (false, "it measured no AUC".to_owned()),
            (Some(auc), Some(before)) => (
                auc >= before - allowed,
                format!("AUC {auc:.4}, the champion's {before:.4}{own}, at most {allowed} less allowed"),
            ),
            (Some(auc), None) => (auc > 0.5, format!("AUC {auc:.4}; more than 0.5 is needed")),
        })
    });
    match champion.map(|(_, same)| same) {
        None => {}
        Some(Ok(same)) => gate.detail += &format!("; both on the same {}", same.rows),
        Some(Err(why)) => {
            gate.detail +=
                &format!("; each on its own test, since they cannot be compared on the same rows: {why}");
        }
    }
    gate
}

/// The error must be small, beyond what chance makes of so few users (honest models of some hundred rows would fail), and the probabilities better than the loss rate alone: where few are lost, a model that promises
/// nobody's loss is off by little on average.
fn calibration(bundle: &Manifest, rules: &Rules) -> Gate {
    of_parts("calibration", |part| {
        let of = |name: &str| bundle.metrics.get(&format!("{name}{part}")).copied();
        Some(match (of("calibration_error"), of("brier_skill")) {
            (None, None) if !part.is_empty() => return None,
            (None, _) => (false, "it measured no calibration error".to_owned()),
            (_, None) => (false, "it measured no Brier skill".to_owned()),
            (Some(error), Some(skill)) => {
                // Bundles of earlier versions do not say it.
                let chance = of("calibration_by_chance").unwrap_or(0.0);
                let passed = error - chance <= rules.calibration_error && skill > 0.0;
                let allowed = rules.calibration_error;
                let beyond =
                    if chance > 0.0 { format!(" beyond the {chance:.4} of chance") } else { String::new() };
                let detail = format!(
                    "calibration error {error:.4}, at most {allowed}{beyond} allowed, Brier skill {skill:.4}, more than 0 needed"
                );
                (passed, detail)
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BundleParts, bundle::tests};

    fn bundle(dir: &std::path::Path, change: impl FnOnce(&mut Manifest)) -> Bundle {
        let mut manifest = tests::manifest();
        manifest.metrics =
            [("auc", 0.8), ("auc_sweep", 0.78), ("calibration_error", 0.02), ("brier_skill", 0.1)]
                .map(|(name, value)| (name.to_owned(), value))
                .into();
        change(&mut manifest);
        let json = tests::model_json(2.0);
        let at = dir.join(std::fs::read_dir(dir).unwrap().count().to_string());
        Bundle::write(&at, &BundleParts { model: json.as_bytes(), manifest, card: "" }).unwrap()
    }

    #[test]
    fn each_gate_fails_for_its_own_reason() {
        let dir = tempfile::tempdir().unwrap();
        let champion = bundle(dir.path(), |_| {});
        type Change = fn(&mut Manifest);
        let cases: [(&[&str], Change); 19] = [
            (&[], |m| *m.metrics.get_mut("auc").unwrap() = 0.795),
            (&["auc"], |m| *m.metrics.get_mut("auc").unwrap() = 0.785),
            (&["auc"], |m| _ = m.metrics.remove("auc")),
            (&["calibration"], |m| *m.metrics.get_mut("calibration_error").unwrap() = 0.06),
            (&["calibration"], |m| _ = m.metrics.remove("calibration_error")),
            // Nobody's loss is promised, and 4 % are lost.
            (&["calibration"], |m| {
                m.metrics.extend([("calibration_error".to_owned(), 0.04), ("brier_skill".to_owned(), -0.04)]);
            }),
            (&["calibration"], |m| _ = m.metrics.remove("brier_skill")),
            // By trigger: worse than the champion there, unknown though the champion knows, and dishonest.
            (&["auc"], |m| _ = m.metrics.insert("auc_sweep".to_owned(), 0.74)),
            (&["auc"], |m| _ = m.metrics.remove("auc_sweep")),
            (&["calibration"], |m| {
                m.metrics.extend([
                    ("calibration_error_event".to_owned(), 0.06),
                    ("brier_skill_event".to_owned(), 0.1),
                ]);
            }),
            (&["calibration"], |m| {
                m.metrics.extend([
                    ("calibration_error_event".to_owned(), 0.01),
                    ("brier_skill_event".to_owned(), -0.1),
                ]);
            }),
            // Of so few users chance makes as much, but not all of it.
            (&[], |m| {
                m.metrics.extend([
                    ("calibration_error".to_owned(), 0.07),
                    ("calibration_by_chance".to_owned(), 0.03),
                ])
            }),
            (&["calibration"], |m| {
                m.metrics.extend([
                    ("calibration_error".to_owned(), 0.09),
                    ("calibration_by_chance".to_owned(), 0.03),
                ]);
            }),
            (&["spec"], |m| m.spec_hash = "ffff".into()),
            (&["spec"], |m| m.horizon = types::Millis::DAY),
            (&["spec"], |m| m.label.as_mut().unwrap().lead = types::Millis(0)),
            (&["spec"], |m| m.label = None),
            (&["spec"], |m| m.horizon = types::Millis(0)),
            (&["auc", "calibration"], |m| m.metrics.clear()),
        ];
        for (expected, change) in cases {
            let candidate = bundle(dir.path(), change);
            let all = gates(&candidate, Some(&champion), Err("no labels"), &Rules::default());
            let failed: Vec<_> = all.iter().filter(|gate| !gate.passed).map(|gate| gate.name).collect();
            assert_eq!(failed, expected, "{all:?}");
        }
        let of_table = bundle(dir.path(), |m| m.horizon = types::Millis(0));
        let spec = gates(&of_table, None, Err(""), &Rules::default()).swap_remove(0);
        assert!(!spec.passed && spec.detail.contains("`churnstream score`"), "{spec:?}");
        let first = bundle(dir.path(), |m| *m.metrics.get_mut("auc").unwrap() = 0.51);
        assert!(gates(&first, None, Err(""), &Rules::default()).iter().all(|gate| gate.passed));
    }

    #[test]
    fn the_same_rows_decide_and_not_how_easy_each_test_was() {
        let dir = tempfile::tempdir().unwrap();
        let champion = bundle(dir.path(), |_| {});
        let of = |auc: f64, sweep: f64| {
            bundle(dir.path(), |m| {
                m.metrics.extend([("auc".to_owned(), auc), ("auc_sweep".to_owned(), sweep)]);
            })
        };
        let (easy, hard) = (of(0.95, 0.93), of(0.70, 0.68));
        let gain =
            |gain: f64| Gain { auc: 0.8 + gain, champion: 0.8, gain, low: gain - 0.01, high: gain + 0.01 };
        let same = |all: f64, sweep: f64| SameRows {
            rows: "900 rows of 300 users".to_owned(),
            gains: [("", gain(all)), ("_sweep", gain(sweep))].into(),
        };
        let auc = |candidate: &Bundle, same: Result<&SameRows, &str>| {
            gates(candidate, Some(&champion), same, &Rules::default()).swap_remove(1)
        };
        let worse = auc(&easy, Ok(&same(-0.03, 0.01)));
        assert!(!worse.passed && worse.detail.contains("-0.0300 (-0.0400 to -0.0200)"), "{worse:?}");
        assert!(worse.detail.ends_with("; both on the same 900 rows of 300 users"), "{worse:?}");
        let by_trigger = auc(&easy, Ok(&same(0.0, -0.02)));
        assert!(!by_trigger.passed, "by trigger too");
        assert!(by_trigger.detail.starts_with("all: ") && by_trigger.detail.contains("; sweeps FAILED: "));
        assert!(auc(&hard, Ok(&same(-0.005, 0.02))).passed);
        // Where sweeps cannot be compared, they are judged as each measured them.
        let mut without = same(0.02, 0.0);
        without.gains.remove("_sweep");
        let hard_sweeps = auc(&hard, Ok(&without));
        assert!(
            !hard_sweeps.passed && hard_sweeps.detail.contains("(each on its own test)"),
            "{hard_sweeps:?}"
        );

        let apart = auc(&easy, Err("there are none"));
        assert!(apart.passed && apart.detail.ends_with("on the same rows: there are none"), "{apart:?}");
        let first = gates(&easy, None, Err("there are none"), &Rules::default()).swap_remove(1);
        assert_eq!(
            first.detail,
            "all: AUC 0.9500; more than 0.5 is needed; sweeps: AUC 0.9300; more than 0.5 is needed"
        );
    }
}
