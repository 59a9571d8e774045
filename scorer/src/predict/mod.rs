//! Fast evaluation: many trees or many rows at once, all forms giving the same bits as [`Model::margin`].

#[cfg(target_arch = "x86_64")]
mod avx512;
mod perfect;
#[cfg(target_arch = "x86_64")]
mod quantised;

#[cfg(test)]
mod tests;

use crate::Model;
#[cfg(target_arch = "x86_64")]
use avx512::{Avx512, Bins, Grouping};
use perfect::PerfectTrees;

/// A way to evaluate trees. The bits are the same for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evaluator {
    /// Node by node: any model, any processor. It is [`Model::margin`].
    Branching,
    /// Trees padded to perfect ones, walked several at a time without branches: trees of at most 8 levels and rows of at most
    /// 2,048 features, any processor.
    Perfect,
    /// Rows as bytes, all splits of a tree decided at once: trees of at most 6 levels, at most 254 thresholds a feature and 256
    /// features in splits, a processor with AVX-512 and VBMI. The quickest for a few rows.
    Avx512Single,
    /// Rows as bytes, 64 rows at once: as [`Avx512Single`](Self::Avx512Single). The quickest for many rows.
    Avx512Columns,
}

impl Evaluator {
    /// Every evaluator, the plainest first.
    pub const ALL: [Self; 4] = [Self::Branching, Self::Perfect, Self::Avx512Single, Self::Avx512Columns];
}

/// A model made ready to score rows, by the fastest means that the processor and the model allow.
///
/// It is immutable and can be shared between threads; each brings its own [`Scratch`], so that nothing is allocated or
/// locked while scoring.
#[derive(Debug, Clone)]
pub struct Predictor {
    model: Model,
    form: Form,
}

/// The tables of the evaluator in use.
#[derive(Debug, Clone)]
enum Form {
    Branching,
    Perfect(PerfectTrees),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512, Grouping),
}

/// A thread's working memory for a [`Predictor`].
#[derive(Debug, Clone)]
pub struct Scratch {
    row: Vec<f32>,
    #[cfg(target_arch = "x86_64")]
    bins: Option<Bins>,
}

impl Predictor {
    /// Chooses the fastest of all evaluators, by the number of rows at hand where it matters.
    #[must_use]
    pub fn new(model: &Model) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx512) = Avx512::new(model) {
            return Self { model: model.clone(), form: Form::Avx512(avx512, Grouping::Best) };
        }
        let form = PerfectTrees::new(model).map_or(Form::Branching, Form::Perfect);
        Self { model: model.clone(), form }
    }

    /// A predictor that uses one evaluator only; `None` if the processor lacks what it needs or the model does not suit it.
    #[must_use]
    pub fn with(model: &Model, evaluator: Evaluator) -> Option<Self> {
        let form = match evaluator {
            Evaluator::Branching => Form::Branching,
            Evaluator::Perfect => Form::Perfect(PerfectTrees::new(model)?),
            #[cfg(target_arch = "x86_64")]
            Evaluator::Avx512Single => Form::Avx512(Avx512::new(model)?, Grouping::Single),
            #[cfg(target_arch = "x86_64")]
            Evaluator::Avx512Columns => Form::Avx512(Avx512::new(model)?, Grouping::Columns),
            #[cfg(not(target_arch = "x86_64"))]
            Evaluator::Avx512Single | Evaluator::Avx512Columns => return None,
        };
        Some(Self { model: model.clone(), form })
    }

    /// The number of values in a row.
    #[must_use]
    pub const fn n_features(&self) -> usize {
        self.model.n_features()
    }

    /// Working memory for one thread.
    #[must_use]
    pub fn scratch(&self) -> Scratch {
        Scratch {
            row: match &self.form {
                Form::Perfect(_) => vec![0.0; PerfectTrees::doubled(self.n_features())],
                _ => Vec::new(),
            },
            #[cfg(target_arch = "x86_64")]
            bins: match &self.form {
                Form::Avx512(avx512, _) => Some(avx512.bins()),
                _ => None,
            },
        }
    }

    /// Computes the margins (log-odds) of any number of rows: `rows` holds them one after the other, NaN where a value is
    /// missing; `out` takes a margin for each.
    ///
    /// How many rows come at once changes no bit of the results. Batches of 64 and more are the cheapest.
    ///
    /// # Panics
    /// If `rows` does not hold [`n_features`](Self::n_features) values for each element of `out`, or `scratch` is of another
    /// model's predictor.
    pub fn margins(&self, rows: &[f32], out: &mut [f32], scratch: &mut Scratch) {
        let n_features = self.n_features();
        assert_eq!(rows.len(), n_features * out.len(), "values in {} rows", out.len());
        // Without features every row is empty.
        let row_at = |number: usize| &rows[number * n_features..][..n_features];
        match &self.form {
            Form::Branching => {
                out.iter_mut().enumerate().for_each(|(number, out)| *out = self.model.margin(row_at(number)));
            }
            Form::Perfect(trees) => {
                assert_eq!(
                    scratch.row.len(),
                    PerfectTrees::doubled(n_features),
                    "scratch of another predictor"
                );
                for (number, out) in out.iter_mut().enumerate() {
                    *out = trees.margin(row_at(number), &mut scratch.row);
                }
            }
            #[cfg(target_arch = "x86_64")]
            Form::Avx512(avx512, grouping) => match &mut scratch.bins {
                Some(bins) => avx512.margins(rows, n_features, out, bins, *grouping),
                None => panic!("scratch of another predictor"),
            },
        }
    }
}
