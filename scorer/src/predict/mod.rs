//! Fast evaluation: many trees at once, all forms giving the same bits as [`Model::margin`].

mod perfect;

use crate::Model;
use perfect::PerfectTrees;

/// A way to evaluate trees. The bits are the same for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evaluator {
    /// Node by node, any model, any processor: [`Model::margin`].
    Branching,
    /// Trees padded to perfect ones and walked several at a time without branches; trees up to depth 8, any processor.
    Perfect,
}

impl Evaluator {
    /// Every evaluator, the plainest first.
    pub const ALL: [Self; 2] = [Self::Branching, Self::Perfect];
}

/// A model made ready to score rows, by the fastest means that the processor and the model allow.
///
/// It is immutable and can be shared between threads; each brings its own [`Scratch`], so that nothing is allocated or
/// locked while scoring.
#[derive(Debug, Clone)]
pub struct Predictor {
    model: Model,
    perfect: Option<PerfectTrees>,
}

/// A thread's working memory for a [`Predictor`].
#[derive(Debug, Clone)]
pub struct Scratch {
    row: Vec<f32>,
}

impl Predictor {
    /// Chooses among all evaluators.
    #[must_use]
    pub fn new(model: &Model) -> Self {
        Self { model: model.clone(), perfect: PerfectTrees::new(model) }
    }

    /// A predictor that uses one evaluator only; `None` if the processor lacks what it needs or the model does not suit it.
    #[must_use]
    pub fn with(model: &Model, evaluator: Evaluator) -> Option<Self> {
        let mut predictor = Self { model: model.clone(), perfect: None };
        match evaluator {
            Evaluator::Branching => {}
            Evaluator::Perfect => predictor.perfect = Some(PerfectTrees::new(model)?),
        }
        Some(predictor)
    }

    /// The number of values in a row.
    #[must_use]
    pub const fn n_features(&self) -> usize {
        self.model.n_features()
    }

    /// Working memory for one thread.
    #[must_use]
    pub fn scratch(&self) -> Scratch {
        Scratch { row: vec![0.0; 2 * self.n_features()] }
    }

    /// Computes the margins (log-odds) of any number of rows: `rows` holds them one after the other, NaN where a value is
    /// missing; `out` takes a margin for each.
    ///
    /// How many rows come at once changes no bit of the results.
    ///
    /// # Panics
    /// If `rows` does not hold [`n_features`](Self::n_features) values for each element of `out`, or `scratch` is of a
    /// predictor with another number of features.
    pub fn margins(&self, rows: &[f32], out: &mut [f32], scratch: &mut Scratch) {
        let n_features = self.n_features();
        assert_eq!(rows.len(), n_features * out.len(), "values in {} rows", out.len());
        assert_eq!(scratch.row.len(), 2 * n_features, "scratch of another predictor");
        // Without features every row is empty, and `chunks_exact` has none to give.
        let row_at = |number: usize| &rows[number * n_features..][..n_features];
        for (number, out) in out.iter_mut().enumerate() {
            *out = match &self.perfect {
                Some(trees) => trees.margin(row_at(number), &mut scratch.row),
                None => self.model.margin(row_at(number)),
            };
        }
    }
}
