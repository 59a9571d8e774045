//! What a row costs in the trees: each evaluator, one row at a time and in batches; and what its reasons cost.
//!
//! `cargo run --release -p benches --bin trees [-- MODEL ...]`: nanoseconds per row, on one thread, the least and the median of
//! many short runs (the least is what the work takes; the median shows how busy the machine was). Evaluators take turns.
//! The models, unless given, are random: 100 and 500 trees of depth 6 on 60 features. A fifth of the values are missing.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use benches::{DEPTH, Random, random_model};
use scorer::{Evaluator, Model, Predictor, Shap};

const FEATURES: usize = 60;
/// Rows to score: enough that branches cannot be learnt by heart.
const ROWS: usize = 2048;
const BATCHES: [usize; 4] = [1, 16, 64, 1024];
/// How long a run takes, and how many there are of each.
const RUN: Duration = Duration::from_millis(2);
const RUNS: usize = 60;

fn main() -> anyhow::Result<()> {
    let mut models = Vec::new();
    for path in std::env::args().skip(1) {
        models.push((path.clone(), Model::load(Path::new(&path))?));
    }
    if models.is_empty() {
        for trees in [100, 500] {
            let json = random_model(trees, FEATURES);
            models.push((format!("{trees} trees of depth {DEPTH}"), Model::from_json(json.as_bytes())?));
        }
    }
    for (name, model) in &models {
        println!("{name}, {} features: ns per row, least / median", model.n_features());
        measure(model);
    }
    Ok(())
}

/// Rows whose values lie among the model's thresholds, a fifth of them missing.
fn random_rows(model: &Model) -> Vec<f32> {
    let mut thresholds = vec![vec![0.0]; model.n_features()];
    for node in model.trees().iter().flat_map(|tree| tree.nodes()).filter(|node| !node.is_leaf()) {
        thresholds[usize::from(node.feature)].push(node.value);
    }
    let mut random = Random(2);
    let mut value = |at: usize| {
        let thresholds = &thresholds[at % thresholds.len()];
        let near = thresholds[random.below(thresholds.len() as u64) as usize];
        if random.below(5) == 0 { f32::NAN } else { near + (random.below(3) as f32 - 1.0) * 0.5 }
    };
    (0..ROWS * model.n_features()).map(&mut value).collect()
}

struct Timed<'a> {
    name: String,
    batch: usize,
    /// Rows that a call of `run` scores.
    rows: usize,
    run: Box<dyn FnMut() + 'a>,
    times: Vec<f64>,
}

fn measure(model: &Model) {
    let rows = &random_rows(model)[..];
    let width = model.n_features();
    let reference: Vec<_> = rows.chunks_exact(width).map(|row| model.margin(row)).collect();
    let mut out = vec![0.0; ROWS];
    let mut timed = Vec::new();
    for evaluator in Evaluator::ALL {
        let Some(predictor) = Predictor::with(model, evaluator) else {
            println!("  {evaluator:?}: not for this processor or model");
            continue;
        };
        let mut scratch = predictor.scratch();
        predictor.margins(rows, &mut out, &mut scratch);
        assert!(
            reference.iter().zip(&out).all(|(a, b)| a.to_bits() == b.to_bits()),
            "{evaluator:?} gives other bits"
        );
        for batch in BATCHES {
            timed.push(timed_batches(format!("{evaluator:?}"), predictor.clone(), rows, width, batch));
        }
    }
    for batch in BATCHES {
        timed.push(timed_batches("chosen by itself".into(), Predictor::new(model), rows, width, batch));
    }
    for (name, shap) in [("SHAP, portable", Shap::portable(model)), ("SHAP", Shap::new(model))] {
        for batch in BATCHES {
            timed.push(timed_reasons(name, shap.clone(), rows, width, batch));
        }
    }

    for _ in 0..RUNS {
        for timed in &mut timed {
            let (begin, mut rows) = (Instant::now(), 0);
            while begin.elapsed() < RUN {
                (timed.run)();
                rows += timed.rows;
            }
            timed.times.push(begin.elapsed().as_nanos() as f64 / rows as f64);
        }
    }
    for Timed { name, batch, mut times, .. } in timed {
        times.sort_by(f64::total_cmp);
        println!("  {name:17} {batch:5} at once {:8.0} / {:.0}", times[0], times[RUNS / 2]);
    }
}

/// Explains all rows in batches.
fn timed_reasons<'a>(name: &str, mut shap: Shap, rows: &'a [f32], width: usize, batch: usize) -> Timed<'a> {
    let (mut effects, mut at) = (vec![0.0; batch * width], 0);
    let run = move || {
        black_box(shap.explain_batch(&rows[at * width..][..batch * width], &mut effects));
        at = (at + batch) % ROWS;
    };
    Timed { name: name.to_owned(), batch, rows: batch, run: Box::new(run), times: Vec::new() }
}

/// Scores all rows in batches, a few batches a run.
fn timed_batches(name: String, predictor: Predictor, rows: &[f32], width: usize, batch: usize) -> Timed<'_> {
    let mut scratch = predictor.scratch();
    let mut out = vec![0.0; batch];
    let mut at = 0;
    let steps = (64 / batch).max(1);
    let run = move || {
        for _ in 0..steps {
            predictor.margins(&rows[at * width..][..batch * width], &mut out, &mut scratch);
            black_box(&mut out);
            at = (at + batch) % ROWS;
        }
    };
    Timed { name, batch, rows: batch * steps, run: Box::new(run), times: Vec::new() }
}
