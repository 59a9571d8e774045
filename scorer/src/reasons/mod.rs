//! Why a score is what it is: effects of features, grouped by signal, in numbers and in words.
//!
//! A *signal* is an input of the feature spec or an attribute: all windows and operations of `plays`, and ratios of two of them, are one
//! signal, as all columns of `plan` are, and ten of them that point the same way are one reason, not ten. A signal's effect is the sum of its features' effects; the feature that adds
//! most to it stands for the signal.
//!
//! An effect is an association that the model found, not a cause, and the words say no more.

mod name;
mod phrase;
mod summary;
mod words;

use std::collections::BTreeMap;

use types::Reason;

use crate::{Baseline, Bundle, Meaning};
use name::Name;
pub use summary::{Bar, EffectSummary, Swarm};
pub use words::{sentence, words};

/// Which features belong together, and what their values usually are: what of a bundle reasons need.
#[derive(Debug, Clone)]
pub struct Signals {
    names: Vec<String>,
    /// By feature: its signal's number.
    signal: Vec<usize>,
    /// By signal, in the order in which they first come.
    signal_names: Vec<String>,
    /// By feature: the middle value in training, where it is known.
    usual: Vec<Option<f32>>,
    /// By feature: what its values stand for, where its name does not say it.
    meaning: Vec<Option<Meaning>>,
}

/// A signal's part in a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strongest {
    /// The number of the feature that stands for it.
    pub feature: usize,
    /// How much all of its features together moved the margin, in log-odds; never 0.
    pub effect: f32,
}

/// Working memory for [`Signals::strongest`].
#[derive(Debug, Clone, Default)]
pub struct SignalScratch {
    /// By signal.
    sums: Vec<f32>,
    strongest: Vec<Strongest>,
}

/// The signal that a feature's name tells.
fn by_name(name: &str) -> &str {
    Name::parse(name).map_or(name, |parts| parts.input)
}

/// Each signal's number in the order in which they first come, and their names.
fn numbered<'n>(signals: impl Iterator<Item = &'n str>) -> (Vec<usize>, Vec<String>) {
    let mut names: Vec<String> = Vec::new();
    let mut known = BTreeMap::new();
    let number = |signal: &'n str| {
        *known.entry(signal).or_insert_with(|| {
            names.push(signal.to_owned());
            names.len() - 1
        })
    };
    (signals.map(number).collect(), names)
}

impl Signals {
    /// Those of a bundle.
    #[must_use]
    pub fn of(bundle: &Bundle) -> Self {
        let manifest = bundle.manifest();
        Self::new(bundle.feature_names(), &manifest.baselines).with_meanings(&manifest.meanings)
    }

    /// The same, knowing what values stand for: the columns of one attribute are one signal, and a ratio belongs to the input that both of its
    /// features are of. None of several categories is in the middle, so none of them is usual.
    #[must_use]
    pub fn with_meanings(mut self, meanings: &BTreeMap<String, Meaning>) -> Self {
        self.meaning = self.names.iter().map(|name| meanings.get(name).cloned()).collect();
        for (usual, meaning) in self.usual.iter_mut().zip(&self.meaning) {
            *usual = usual.filter(|_| !meaning.as_ref().is_some_and(Meaning::is_category));
        }
        let signals = self.names.iter().zip(&self.meaning).map(|(name, meaning)| match meaning {
            Some(Meaning::Is { attribute, .. }) => attribute.as_str(),
            Some(Meaning::Ratio { numerator, denominator }) if by_name(numerator) == by_name(denominator) => {
                by_name(numerator)
            }
            _ => by_name(name),
        });
        (self.signal, self.signal_names) = numbered(signals);
        self
    }

    /// Groups features by their names, `{input}_{op}_{window}`; another name is a signal of its own.
    #[must_use]
    pub fn new(names: &[String], baselines: &[Baseline]) -> Self {
        let (signal, signal_names) = numbered(names.iter().map(|name| by_name(name)));
        let usual = |name: &String| baselines.iter().find(|b| b.feature == *name).and_then(Baseline::usual);
        Self {
            names: names.to_vec(),
            signal,
            usual: names.iter().map(usual).collect(),
            signal_names,
            meaning: vec![None; names.len()],
        }
    }

    /// How many features there are.
    #[must_use]
    pub fn features(&self) -> usize {
        self.names.len()
    }

    /// The name of the signal that a feature belongs to.
    ///
    /// # Panics
    /// If there is no such feature.
    #[must_use]
    pub fn signal(&self, feature: usize) -> &str {
        &self.signal_names[self.signal[feature]]
    }

    /// What a feature's value usually is: the middle of the training rows that have one, if the bundle says so.
    ///
    /// # Panics
    /// If there is no such feature.
    #[must_use]
    pub fn usual(&self, feature: usize) -> Option<f32> {
        self.usual[feature]
    }

    /// A feature's value and what is usual in words, where its name does not say what they stand for.
    ///
    /// # Panics
    /// If there is no such feature.
    #[must_use]
    pub fn text(&self, feature: usize, value: f32) -> Option<String> {
        let meaning = self.meaning[feature].as_ref()?;
        let value = Some(value).filter(|value| value.is_finite());
        Some(words::told(&self.names[feature], Some(meaning), value, self.usual[feature]))
    }

    /// The `k` signals with the largest effects, strongest first; those without effect are left out, and equal ones come in
    /// the order of their features. O(features * k), and allocates nothing once `scratch` was used.
    ///
    /// # Panics
    /// If there is not one effect for each feature.
    pub fn strongest<'s>(
        &self,
        effects: &[f32],
        k: usize,
        scratch: &'s mut SignalScratch,
    ) -> &'s [Strongest] {
        assert_eq!(effects.len(), self.names.len(), "effects");
        let SignalScratch { sums, strongest } = scratch;
        sums.clear();
        sums.resize(self.signal_names.len(), 0.0);
        for (&signal, effect) in self.signal.iter().zip(effects) {
            sums[signal] += effect;
        }
        strongest.clear();
        for (signal, &effect) in sums.iter().enumerate().filter(|(_, effect)| **effect != 0.0) {
            let at = strongest.partition_point(|other| other.effect.abs().total_cmp(&effect.abs()).is_ge());
            if at < k {
                strongest.truncate(k - 1);
                // Which feature stands for it is found below, for those that stay.
                strongest.insert(at, Strongest { feature: signal, effect });
            }
        }
        for one in strongest.iter_mut() {
            let signal = one.feature;
            let toward = |feature: usize| effects[feature] * one.effect.signum();
            let members = (0..effects.len()).filter(|&feature| self.signal[feature] == signal);
            // Of equal ones the first. A signal with an effect has a feature.
            one.feature = members
                .reduce(|best, next| if toward(next) > toward(best) { next } else { best })
                .unwrap_or(0);
        }
        strongest
    }

    /// What is told of a signal: of an attribute's columns the one that holds, `plan is basic` and not `plan is not premium`.
    fn told_by(&self, feature: usize, row: &[f32]) -> usize {
        let is = |feature: usize| matches!(self.meaning[feature], Some(Meaning::Is { .. }));
        let holds =
            |other: &usize| self.signal[*other] == self.signal[feature] && is(*other) && row[*other] == 1.0;
        if is(feature) { (0..row.len()).find(holds).unwrap_or(feature) } else { feature }
    }

    /// The reasons for a row's score, strongest first, as they stand in a score.
    ///
    /// # Panics
    /// If there is not one value and one effect for each feature.
    #[must_use]
    pub fn reasons(&self, row: &[f32], effects: &[f32], k: usize) -> Vec<Reason> {
        assert_eq!(row.len(), self.names.len(), "values in a row");
        let mut scratch = SignalScratch::default();
        let reason = |one: &Strongest| {
            let feature = self.told_by(one.feature, row);
            Reason {
                feature: self.names[feature].clone(),
                // JSON has no number for a missing value.
                value: Some(row[feature]).filter(|value| value.is_finite()),
                effect: one.effect,
                usual: self.usual[feature],
                text: self.text(feature, row[feature]),
            }
        };
        self.strongest(effects, k, &mut scratch).iter().map(reason).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signals(names: &[&str]) -> Signals {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let baseline = Baseline {
            feature: names[0].clone(),
            borders: vec![1.0],
            counts: vec![5, 6],
            missing: 2,
            median: Some(41.0),
            users: None,
            ageing: false,
        };
        Signals::new(&names, &[baseline])
    }

    fn strongest(signals: &Signals, effects: &[f32], k: usize) -> Vec<(usize, f32)> {
        let mut scratch = SignalScratch::default();
        signals.strongest(effects, k, &mut scratch).iter().map(|one| (one.feature, one.effect)).collect()
    }

    #[test]
    fn the_windows_of_a_signal_are_one_reason() {
        let signals = signals(&["plays_count_7d", "ads_count_7d", "plays_sum_30d", "plays_mean_90d", "plan"]);
        assert_eq!((signals.signal(2), signals.signal(4)), ("plays", "plan"));
        // Together the plays weigh more than the ads, though none of them does alone.
        let effects = [0.25, -0.5, 0.375, -0.0625, 0.0];
        assert_eq!(strongest(&signals, &effects, 9), [(2, 0.5625), (1, -0.5)]);
        assert_eq!(strongest(&signals, &effects, 1), [(2, 0.5625)]);
        assert_eq!(strongest(&signals, &effects, 0), []);
        // A signal whose features cancel out says nothing.
        assert_eq!(strongest(&signals, &[0.5, 0.0, -0.5, 0.0, 0.0], 9), []);
        // The one that stands for it points its way, even if another one is larger.
        assert_eq!(strongest(&signals, &[0.75, 0.0, -1.0, 0.5, 0.0], 9), [(0, 0.25)]);
    }

    #[test]
    fn the_strongest_come_first_and_ties_in_order() {
        let signals = signals(&["a", "b", "c", "d"]);
        assert_eq!(strongest(&signals, &[0.1, -0.5, 0.0, 0.5], 9), [(1, -0.5), (3, 0.5), (0, 0.1)]);
        assert_eq!(strongest(&signals, &[0.1, -0.5, 0.0, 0.5], 1), [(1, -0.5)]);
    }

    #[test]
    fn what_values_stand_for_is_said_and_no_category_is_usual() {
        let categories = ["US", "BR"].map(str::to_owned).to_vec();
        let country = Meaning::Category { attribute: "country".to_owned(), categories };
        let watch = Meaning::Value { field: "watch_s".to_owned(), unit: None, verb: None };
        let meanings = [("country".to_owned(), country), ("plays_sum_7d".to_owned(), watch)].into();
        let signals = signals(&["country", "plays_sum_7d", "plays_count_7d"]).with_meanings(&meanings);
        let reasons = signals.reasons(&[1.0, 120.0, 3.0], &[0.5, 0.25, 0.0], 2);
        let parts: Vec<_> = reasons.iter().map(|r| (r.value, r.usual, r.text.as_deref())).collect();
        let watch = "watch of plays in total: 2 minutes in the last 7 days";
        assert_eq!(parts, [(Some(1.0), None, Some("country is BR")), (Some(120.0), None, Some(watch))]);
        assert_eq!(signals.text(0, f32::NAN).as_deref(), Some("country is not known"));
        assert_eq!(signals.text(2, 3.0), None, "the name says it all");
    }

    #[test]
    fn an_attributes_columns_and_an_inputs_ratios_are_one_reason() {
        let is = |category: Option<&str>| Meaning::Is {
            attribute: "plan".to_owned(),
            category: category.map(str::to_owned),
        };
        let ratio = |numerator: &str, denominator: &str| Meaning::Ratio {
            numerator: numerator.to_owned(),
            denominator: denominator.to_owned(),
        };
        let meanings = [
            ("recent", ratio("plays_count_7d", "plays_count_30d")),
            ("per_ad", ratio("plays_count_7d", "ads_count_7d")),
            ("plan_basic", is(Some("basic"))),
            ("plan_premium", is(Some("premium"))),
            ("plan_other", is(None)),
        ];
        let meanings = meanings.map(|(name, meaning)| (name.to_owned(), meaning)).into();
        let names = ["plays_count_7d", "recent", "per_ad", "plan_basic", "plan_premium", "plan_other"];
        let signals = signals(&names).with_meanings(&meanings);
        assert_eq!(
            (0..6).map(|n| signals.signal(n)).collect::<Vec<_>>(),
            ["plays", "plays", "per_ad", "plan", "plan", "plan"]
        );
        let reasons =
            signals.reasons(&[3.0, 0.5, 0.1, 1.0, 0.0, 0.0], &[0.25, 0.5, 0.125, 0.125, 1.0, 0.0], 9);
        let parts: Vec<_> = reasons.iter().map(|reason| (&*reason.feature, reason.effect)).collect();
        assert_eq!(parts, [("plan_basic", 1.125), ("recent", 0.75), ("per_ad", 0.125)]);
        assert_eq!(reasons[0].text.as_deref(), Some("plan is basic"));
    }

    #[test]
    fn reasons_hold_values_and_what_is_usual() {
        let signals = signals(&["plays_count_7d", "ads_count_7d"]);
        let reasons = signals.reasons(&[3.0, f32::NAN], &[0.5, -1.0], 2);
        let parts: Vec<_> = reasons.iter().map(|r| (&*r.feature, r.value, r.effect, r.usual)).collect();
        assert_eq!(
            parts,
            [("ads_count_7d", None, -1.0, None), ("plays_count_7d", Some(3.0), 0.5, Some(41.0))]
        );
    }
}
