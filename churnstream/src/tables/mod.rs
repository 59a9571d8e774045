//! Customer tables: training on one with a label, and scoring another with the bundle that came of it.

mod cross;
mod leaks;
mod load;
mod rejects;
mod score;
mod train;

pub use cross::{CrossReport, Folds};
pub use leaks::Suspect;
pub use rejects::Rejects;
pub use score::{ScoreReport, score};
pub use train::{ColumnReport, Request, TableReport, train};
