//! From a log to a model bundle: rows by replay, split in time, search, fit, calibrate, judge beside baselines, write.

pub mod contest;
mod judged;
mod paired;
mod reference;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use backtest::evaluate::Estimate;
use backtest::{LabelledRows, Labels, RowSummary, Split, SplitPlan};
use feature_store::{Spec, Told};
use partition_log::Log;
use scorer::{Bundle, Meaning, SameRows};
use serde::Serialize;
use trainer::{Algorithm, Found, Params, Purpose, Reference, Round, Rows, Trial};
use types::EventTime;
use xxhash_rust::xxh3::xxh3_64;

pub use judged::Judged;
pub use paired::Paired;

pub(crate) use judged::judge;
use judged::{by_trigger, cautions, metrics_of, notes};
pub(crate) use paired::pair;

/// How to train.
#[derive(Debug, Clone)]
pub struct Training {
    /// The kind of model and its parameters; where a search begins.
    pub params: Params,
    /// Sets of parameters to try; 0 for no search.
    pub search: u32,
    /// The other kinds of model that are fitted too, to be compared with.
    pub baselines: Vec<Algorithm>,
    /// Whether the model that ships learns from the test rows too, once it is known how good it is without.
    pub refit: bool,
    /// The champion that the model is to replace: judged on the same test rows.
    pub champion: Option<Arc<Bundle>>,
}

impl Training {
    /// Training with these parameters, and all other kinds of model beside it.
    #[must_use]
    pub fn new(params: Params) -> Self {
        let baselines = Algorithm::ALL.into_iter().filter(|other| *other != params.algorithm).collect();
        Self { params, search: 0, baselines, refit: false, champion: None }
    }

    /// What it was told, by name, besides what a bundle's manifest says of how it was fitted: for a record of the run.
    #[must_use]
    pub fn settings(&self) -> BTreeMap<String, String> {
        [
            ("algorithm", self.params.algorithm.to_string()),
            ("search", self.search.to_string()),
            ("refit", self.refit.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

/// What a training came to.
#[derive(Debug, Clone, Serialize)]
pub struct TrainReport {
    /// The bundle's hash.
    pub bundle: String,
    /// What was counted while rows were made.
    pub replay: RowSummary,
    /// Rows learnt, stopped and calibrated on before the test.
    pub training_rows: usize,
    /// Of these, rows of users who were lost, and how many users these are.
    pub training_lost: [usize; 2],
    /// Rows left out because their label was not decided when the test begins.
    pub embargo_rows: usize,
    /// The first moment of the test.
    pub test_from: EventTime,
    /// The model and its quality on the test rows.
    #[serde(flatten)]
    pub model: Judged,
    /// The same model on the test rows of one cause each, where there are enough of them: `event` and `sweep`.
    pub by_trigger: BTreeMap<&'static str, Judged>,
    /// The other kinds of model, on the same rows.
    pub baselines: Vec<Judged>,
    /// Where the model's AUC lies with 95 % confidence, over users; `None` if one of the outcomes does not occur in the test.
    pub auc_interval: Option<Estimate>,
    /// Whether the model is better than the other kinds; in their order.
    pub paired: Vec<Paired>,
    /// Columns that were not learnt from, because their events give the label away (`inputs` in the labels file).
    pub left_out_columns: Vec<String>,
    /// Sets of parameters tried.
    pub trials: u32,
    /// Rows that the model in the bundle learnt from: with a refit, those of the test too.
    pub fitted_rows: usize,
    /// Its trees: with a refit not as many as those of the model that was judged.
    pub fitted_trees: u32,
    /// Of the rows that it learnt from, those whose users were held out in turn before: by them it was chosen when learning stops and
    /// how probabilities are calibrated. They are of the same time as the others. `None` if nobody was held out.
    pub held_out_rows: Option<usize>,
    /// What speaks against using the model, if anything does.
    pub cautions: Vec<String>,
    /// The model that was judged beside the champion that it is to replace, on the test rows after the champion had learnt its last
    /// label; or why they were not compared.
    #[serde(skip)]
    pub contest: Result<SameRows, String>,
}

/// What is going on, for showing progress.
pub enum Stage<'a> {
    /// So many records were replayed.
    Replayed(u64),
    /// All were, and this was counted.
    Collected(&'a RowSummary),
    /// A fold of a cross-validation begins.
    Fold {
        /// The kind of model.
        algorithm: Algorithm,
        /// Which, from 1.
        number: u32,
        /// Folds in all.
        of: u32,
    },
    /// A round of a set of parameters that is being tried is done.
    Trying(&'a Round),
    /// A set of parameters was tried.
    Tried(&'a Trial),
    /// A round of a kind of model is done.
    Round(Algorithm, &'a Round),
}

/// Trains a bundle from a topic and writes it to a new folder.
///
/// # Errors
/// If the log cannot be read, leaves nothing to learn from, or the folder exists.
pub fn train(
    log: &dyn Log,
    topic: &str,
    spec: &Arc<Spec>,
    labels: &Labels,
    training: &Training,
    to: &Path,
    mut progress: impl FnMut(Stage<'_>),
) -> anyhow::Result<TrainReport> {
    let mut all = backtest::collect(log, topic, spec, labels, |records| progress(Stage::Replayed(records)))?;
    progress(Stage::Collected(&all.summary));
    let champion = training.champion.as_deref().ok_or_else(|| "there is no champion".to_owned());
    let champion = champion.and_then(|champion| {
        contest::fits(champion, spec.hash().as_str(), spec.feature_names())?;
        Ok((contest::probabilities(champion, &all), champion.manifest().training.labels_decided))
    });
    let left_out_columns: Vec<String> = all.excluded_names().map(str::to_owned).collect();
    all.exclude();
    let plan = SplitPlan::new(labels, &all)?;
    backtest::check_split(&all, |row| plan.of_row(&all, row))?;
    let mut rows = rows_of(&all);
    let mut past = rows.filter(|row| plan.of_row(&all, row) == Split::Train);
    (rows.reference, past.reference) = (reference::of(&all, spec, &rows), reference::of(&all, spec, &past));
    let test = rows.filter(|row| plan.of_row(&all, row) == Split::Test);
    // The last label of those that the shipped model learns from.
    let learns = |row: &usize| training.refit || plan.of_row(&all, *row) == Split::Train;
    let labels_decided = (0..all.len()).filter(learns).map(|row| all.decided_at[row]).max();

    let found = find(&past, training, &mut progress)?;
    let params = &found.params;
    let mut fitted = trainer::fit(&past, params, |round| progress(Stage::Round(params.algorithm, round)))?;
    let model = judge(&fitted, &test);
    let tested: Vec<usize> = (0..all.len()).filter(|row| plan.of_row(&all, *row) == Split::Test).collect();
    let by_trigger =
        by_trigger(&fitted, &test, &tested.iter().map(|row| all.trigger[*row]).collect::<Vec<_>>());
    let ours = fitted.probabilities(&test);
    let contest = champion
        .and_then(|(theirs, decided)| contest::of_test(&all, &tested, &ours, &theirs, decided))
        .map(|same| if training.refit { same.noting(", this one before it was fitted again") } else { same });
    let (baselines, others) = baselines(&past, &test, training, &mut progress)?;
    let (auc_interval, paired) = pair(&test, &ours, &others);
    let cautions = cautions(&model, auc_interval, &baselines, &paired);
    let mut notes = notes(&model, &baselines, &paired, &found);
    notes.extend(cautions.iter().cloned());
    notes.extend(all.summary.doubt());
    if !left_out_columns.is_empty() {
        notes.push(format!(
            "not learnt from, because their events give the label away: {}",
            left_out_columns.join(", ")
        ));
    }
    if training.refit {
        notes.push(format!(
            "the figures are of the same settings fitted on {} rows and judged on the {} rows from {} on; this model was then \
             fitted on all rows, those of the test too, so nothing has judged it yet",
            past.len(),
            test.len(),
            jiff::Timestamp::from_millisecond(plan.test_from.0)?
        ));
        fitted = trainer::fit(&rows, params, |round| progress(Stage::Round(params.algorithm, round)))?;
    }
    let purpose = Purpose {
        spec_hash: spec.hash().to_string(),
        horizon: labels.horizon,
        label: Some(labels.label()),
        bands: None,
        metrics: metrics_of(&model, &by_trigger),
        labels_decided,
        meanings: meanings(spec),
        notes,
    };
    let bundle = fitted.write(to, &purpose)?;
    bundle.attach_spec(spec.text())?;
    Ok(TrainReport {
        bundle: bundle.hash().to_owned(),
        replay: all.summary.clone(),
        training_rows: past.len(),
        training_lost: lost(&past),
        embargo_rows: rows.len() - past.len() - test.len(),
        test_from: plan.test_from,
        model,
        by_trigger,
        baselines,
        auc_interval,
        paired,
        left_out_columns,
        trials: found.trials,
        fitted_rows: fitted.rows,
        fitted_trees: fitted.trees,
        held_out_rows: fitted.held_out.as_ref().map(|held_out| held_out.lost.len()),
        cautions,
        contest,
    })
}

/// What the spec says of what the values of its columns stand for.
fn meanings(spec: &Spec) -> BTreeMap<String, Meaning> {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let meaning = |told| match told {
        Told::Category { attribute, categories } => {
            Meaning::Category { attribute: attribute.to_owned(), categories: categories.to_vec() }
        }
        Told::Is { attribute, category } => {
            Meaning::Is { attribute: attribute.to_owned(), category: owned(category) }
        }
        Told::Value { field, unit, verb } => {
            Meaning::Value { field: field.to_owned(), unit: owned(unit), verb: owned(verb) }
        }
        Told::Texts { field } => Meaning::Texts { field: field.to_owned() },
        Told::Ratio { numerator, denominator } => {
            Meaning::Ratio { numerator: numerator.to_owned(), denominator: denominator.to_owned() }
        }
    };
    let names = spec.feature_names().iter();
    names.filter_map(|name| Some((name.clone(), meaning(spec.told(name)?)))).collect()
}

/// Rows as the trainer takes them.
pub(crate) fn rows_of(all: &LabelledRows) -> Rows {
    Rows {
        names: all.names.clone(),
        values: all.values.clone(),
        lost: all.lost.clone(),
        weights: all.weight.clone(),
        groups: all.entities.iter().map(|entity| xxh3_64(entity.as_bytes())).collect(),
        as_of: all.as_of.clone(),
        reference: Reference::default(),
    }
}

/// Rows of users who were lost, and these users.
fn lost(rows: &Rows) -> [usize; 2] {
    let of: Vec<u64> =
        rows.groups.iter().zip(&rows.lost).filter(|(_, lost)| **lost).map(|(user, _)| *user).collect();
    [of.len(), of.iter().collect::<BTreeSet<_>>().len()]
}

/// The parameters to fit with: the best of a search, or those given.
pub(crate) fn find(
    rows: &Rows,
    training: &Training,
    progress: &mut impl FnMut(Stage<'_>),
) -> anyhow::Result<Found> {
    // Both of the search's reports go the same way, one at a time.
    let progress = std::cell::RefCell::new(progress);
    Ok(trainer::search(
        rows,
        &training.params,
        training.search,
        |round| (*progress.borrow_mut())(Stage::Trying(round)),
        |trial| (*progress.borrow_mut())(Stage::Tried(trial)),
    )?)
}

/// Fits the other kinds of model with what is usual for them, and judges them; also their probabilities of the test rows.
fn baselines(
    past: &Rows,
    test: &Rows,
    training: &Training,
    progress: &mut impl FnMut(Stage<'_>),
) -> anyhow::Result<(Vec<Judged>, Vec<paired::Other>)> {
    let (mut judged, mut probabilities) = (Vec::new(), Vec::new());
    for algorithm in &training.baselines {
        let usual = Params::of(*algorithm);
        let params =
            Params { seed: training.params.seed, monotone: training.params.monotone.clone(), ..usual };
        let fitted = trainer::fit(past, &params, |round| progress(Stage::Round(*algorithm, round)))?;
        judged.push(judge(&fitted, test));
        probabilities.push((*algorithm, fitted.probabilities(test)));
    }
    Ok((judged, probabilities))
}

/// How many records a topic holds.
///
/// # Errors
/// If there is no such topic.
pub fn records(log: &dyn Log, topic: &str) -> anyhow::Result<u64> {
    let config =
        log.topic(topic)?.with_context(|| format!("there is no topic `{topic}` in {}", log.place()))?;
    let mut total = 0;
    for partition in (0..config.partitions).map(types::PartitionId) {
        let bounds = log.bounds(topic, partition)?;
        total += bounds.end.since(bounds.start);
    }
    Ok(total)
}
