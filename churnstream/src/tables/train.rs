//! From a table with a label to a bundle.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use backtest::evaluate::Estimate;
use scorer::{Bundle, Meaning};
use serde::Serialize;
use table::{Plan, Schema};
use trainer::{Params, Purpose};
use types::Millis;

use super::leaks::suspects;
use super::load::load;
use super::{CrossReport, Folds, Rejects, Suspect, cross};
use crate::training::{Paired, Stage, Training, find, pair};

/// What to train on and how.
#[derive(Debug)]
pub struct Request<'a> {
    /// The table.
    pub table: &'a Path,
    /// Its label and its other columns.
    pub plan: Plan,
    /// The model.
    pub training: Training,
    /// How it is judged.
    pub folds: Folds,
    /// Where rejected rows go.
    pub rejects: PathBuf,
}

/// What a training on a table came to.
#[derive(Debug, Clone, Serialize)]
pub struct TableReport {
    /// The bundle's hash.
    pub bundle: String,
    /// Rows in the table.
    pub rows: u64,
    /// Rows learnt from.
    pub used: usize,
    /// Those of customers who were lost.
    pub lost: usize,
    /// Rows that could not be used.
    pub rejected: u64,
    /// The file that they are in.
    pub rejects: Option<PathBuf>,
    /// Features that the columns became.
    pub features: usize,
    /// The columns learnt from: name, kind, different values if it is a category, rows without a value.
    pub columns: Vec<ColumnReport>,
    /// Columns that were left out, and why.
    pub ignored: BTreeMap<String, String>,
    /// Columns that may leak the label.
    pub suspects: Vec<Suspect>,
    /// How good the model is.
    pub model: CrossReport,
    /// How good the others are.
    pub baselines: Vec<CrossReport>,
    /// Where the model's AUC lies with 95 % confidence, over customers, as they were cut the first time.
    pub auc_interval: Option<Estimate>,
    /// Whether the model is better than the other kinds, customers cut that way; in their order.
    pub paired: Vec<Paired>,
    /// Trees in the bundle.
    pub trees: u32,
    /// Sets of parameters tried for the model in the bundle.
    pub trials: u32,
}

/// A column that is learnt from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnReport {
    /// Its name.
    pub name: String,
    /// `number`, `date` or `category`.
    pub kind: &'static str,
    /// Different values of a category.
    pub values: Option<usize>,
    /// Rows without a value.
    pub missing: u64,
}

/// Trains a bundle on a table and writes it to a new folder: reads it, suspects columns, judges by cross-validation, fits on all
/// rows. `told` hears of columns before the long work begins.
///
/// # Errors
/// If the table cannot be read, or leaves nothing to learn from, or the folder exists.
pub fn train(
    request: &Request<'_>,
    to: &Path,
    told: impl FnOnce(&[ColumnReport], &Schema, &[Suspect]),
    mut progress: impl FnMut(Stage<'_>),
) -> anyhow::Result<TableReport> {
    let mut rejects = Rejects::new(&request.rejects);
    let loaded = load(request.table, &request.plan, &mut rejects, |rows| progress(Stage::Replayed(rows)))?;
    let (schema, rows) = (&loaded.schema, &loaded.rows);
    rows.check()?;
    let columns = columns(schema, &loaded.profile);
    let suspects = suspects(schema, rows);
    told(&columns, schema, &suspects);

    let training = &request.training;
    let model = cross::validate(rows, training, request.folds, &mut progress)?;
    let mut baselines = Vec::new();
    for algorithm in &training.baselines {
        let params = Params { seed: training.params.seed, ..Params::of(*algorithm) };
        let other = Training { search: 0, ..Training::new(params) };
        baselines.push(cross::validate(rows, &other, request.folds, &mut progress)?);
    }
    let others: Vec<_> =
        baselines.iter_mut().map(|other| (other.algorithm, std::mem::take(&mut other.first))).collect();
    let (auc_interval, paired) = pair(rows, &model.first, &others);
    drop(others);
    let found = find(rows, training, &mut progress)?;
    let fitted =
        trainer::fit(rows, &found.params, |round| progress(Stage::Round(found.params.algorithm, round)))?;
    let purpose = Purpose {
        label: None,
        spec_hash: schema.hash(),
        // A table does not say how far ahead its label looks.
        horizon: Millis(0),
        bands: None,
        metrics: metrics(&model),
        labels_decided: None,
        meanings: meanings(schema),
        notes: notes(request, schema, &model, &baselines, &suspects),
    };
    let bundle = fitted.write(to, &purpose)?;
    bundle.attach_table(&schema.to_toml()?)?;
    let rejected = rejects.count();
    Ok(TableReport {
        bundle: bundle.hash().to_owned(),
        rows: loaded.read,
        used: rows.len(),
        lost: rows.lost.iter().filter(|lost| **lost).count(),
        rejected,
        rejects: rejects.finish()?,
        features: rows.names.len(),
        columns,
        ignored: schema.ignored.iter().map(|column| (column.name.clone(), column.why.clone())).collect(),
        suspects,
        model,
        baselines,
        auc_interval,
        paired,
        trees: fitted.trees,
        trials: found.trials,
    })
}

/// What the values of its features stand for: of two categories the one that is not the other has a name too.
fn meanings(schema: &Schema) -> BTreeMap<String, Meaning> {
    let of = |column: &table::Column| {
        let table::Kind::Category { values } = &column.kind else { return Vec::new() };
        let attribute = || column.name.clone();
        let names = column.features();
        if let ([only], 2) = (&names[..], values.len()) {
            let meaning = Meaning::Category { attribute: attribute(), categories: values.clone() };
            return vec![(only.clone(), meaning)];
        }
        let is = |(at, name): (usize, String)| {
            // Behind those with a feature of their own comes the one of all others.
            let category = values.get(at).filter(|value| name == format!("{}={value}", column.name)).cloned();
            (name, Meaning::Is { attribute: attribute(), category })
        };
        names.into_iter().enumerate().map(is).collect()
    };
    schema.columns.iter().flat_map(of).collect()
}

/// The schema in a bundle; `None` if the bundle is not of a table.
///
/// # Errors
/// If it is damaged, or not the one that the bundle was made with.
pub(super) fn schema_of(bundle: &Bundle) -> anyhow::Result<Option<Schema>> {
    let Some(text) = bundle.table()? else { return Ok(None) };
    let schema = Schema::from_toml(&text)?;
    bundle.check_spec(&schema.hash(), &schema.features())?;
    Ok(Some(schema))
}

fn columns(schema: &Schema, profile: &table::Profile) -> Vec<ColumnReport> {
    let of = |column: &table::Column| {
        let (kind, values) = match &column.kind {
            table::Kind::Number => ("number", None),
            table::Kind::Date => ("date", None),
            table::Kind::Category { values } => ("category", Some(values.len())),
        };
        ColumnReport { name: column.name.clone(), kind, values, missing: profile.missing(&column.name) }
    };
    schema.columns.iter().map(of).collect()
}

fn metrics(model: &CrossReport) -> BTreeMap<String, f64> {
    let mut metrics: BTreeMap<String, f64> = [("auc".to_owned(), model.auc)].into();
    if let Some(quality) = &model.mean.test {
        metrics.insert("lift_10".to_owned(), quality.lift_10);
        metrics.insert("brier".to_owned(), quality.brier);
        metrics.insert("brier_skill".to_owned(), quality.brier_skill);
        metrics.insert("log_loss".to_owned(), quality.log_loss);
        metrics.insert("calibration_error".to_owned(), quality.calibration_error);
    }
    metrics
}

fn notes(
    request: &Request<'_>,
    schema: &Schema,
    model: &CrossReport,
    baselines: &[CrossReport],
    suspects: &[Suspect],
) -> Vec<String> {
    let mut notes = vec![
        format!(
            "learnt from {} columns of a table; lost is who has `{}` in `{}`",
            schema.columns.len(),
            schema.lost,
            schema.label
        ),
        format!(
            "judged by cross-validation ({} folds, {} times, seed {}): each customer by models that had not seen it; figures are means over \
             the times",
            request.folds.folds, request.folds.repeats, request.folds.seed
        ),
    ];
    for other in baselines {
        notes.push(format!(
            "beside it, {} by the same folds: AUC {:.4} against {:.4}",
            other.algorithm.words(),
            other.auc,
            model.auc
        ));
    }
    for suspect in suspects {
        notes.push(format!(
            "caution: {suspect}; if it is known only after the customer was lost, these figures are too good"
        ));
    }
    notes
}
