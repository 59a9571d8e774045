//! What a model learns from.

use types::EventTime;

use crate::TrainError;

/// Feature rows with their outcomes: one entry a row in every list.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// The features' names, in the order of a row's values.
    pub names: Vec<String>,
    /// The values, row after row; NaN where the user has none. No infinities.
    pub values: Vec<f32>,
    /// Whether the user was lost within the horizon.
    pub lost: Vec<bool>,
    /// How much each row counts, 0 or more; empty if all count alike.
    pub weights: Vec<f32>,
    /// A hash of the row's user: rows of one user are never split between fitting and holding out.
    pub groups: Vec<u64>,
    /// The moment that each row was known at.
    pub as_of: Vec<EventTime>,
    /// Rows of the kind that a watch for drift looks at; see [`Reference`]. Choices of rows do not take it over.
    pub reference: Reference,
}

/// Rows that nothing is learnt from: of them the bundle says how features and probabilities were distributed, for whoever looks
/// later at rows of the same kind. Rows to learn from are often of another kind: chosen by their labels, and more of users who
/// do much. If there is none, the bundle speaks of the rows that it learnt from.
#[derive(Debug, Clone, Default)]
pub struct Reference {
    /// The values, row after row; NaN where there is none.
    pub values: Vec<f32>,
    /// A hash of each row's user, as [`Rows::groups`].
    pub groups: Vec<u64>,
    /// Features that move as time goes on, whatever users do.
    pub ageing: Vec<String>,
}

impl Rows {
    /// The number of rows.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.lost.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.lost.is_empty()
    }

    /// The values of a row.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.names.len()..][..self.names.len()]
    }

    /// How much a row counts.
    #[must_use]
    pub fn weight(&self, row: usize) -> f32 {
        self.weights.get(row).copied().unwrap_or(1.0)
    }

    /// The share of lost users by weight; `None` without rows that count.
    #[must_use]
    pub fn loss_rate(&self) -> Option<f64> {
        let (mut lost, mut all) = (0.0, 0.0);
        for row in 0..self.len() {
            let weight = f64::from(self.weight(row));
            all += weight;
            lost += if self.lost[row] { weight } else { 0.0 };
        }
        (all > 0.0).then(|| lost / all)
    }

    /// The earliest and the latest moment of any row.
    #[must_use]
    pub fn window(&self) -> Option<(EventTime, EventTime)> {
        Some((*self.as_of.iter().min()?, *self.as_of.iter().max()?))
    }

    /// Copies the rows that `keep` chooses by number, in order.
    #[must_use]
    pub fn filter(&self, mut keep: impl FnMut(usize) -> bool) -> Self {
        let mut kept = Self { names: self.names.clone(), ..Self::default() };
        for row in (0..self.len()).filter(|row| keep(*row)) {
            kept.values.extend_from_slice(self.row(row));
            kept.lost.push(self.lost[row]);
            kept.weights.extend(self.weights.get(row));
            kept.groups.push(self.groups[row]);
            kept.as_of.push(self.as_of[row]);
        }
        kept
    }

    /// Whether rows of lost users and of others are there, both with a weight above zero.
    #[must_use]
    pub fn has_both_outcomes(&self) -> bool {
        let counts = |outcome| (0..self.len()).any(|row| self.lost[row] == outcome && self.weight(row) > 0.0);
        counts(true) && counts(false)
    }

    /// Checks everything that training relies on.
    ///
    /// # Errors
    /// If lists differ in length, a value is infinite, a weight is not a finite number from 0 up, or only one outcome occurs.
    pub fn check(&self) -> Result<(), TrainError> {
        let (rows, features) = (self.len(), self.names.len());
        let shape = |what, found: usize, expected: usize| match found == expected {
            true => Ok(()),
            false => Err(TrainError::Shape { what, found, rows, features }),
        };
        shape("values", self.values.len(), rows * features)?;
        shape("users", self.groups.len(), rows)?;
        shape("moments", self.as_of.len(), rows)?;
        if !self.weights.is_empty() {
            shape("weights", self.weights.len(), rows)?;
        }
        let Reference { values, groups, .. } = &self.reference;
        if values.len() != groups.len() * features {
            return Err(TrainError::Shape {
                what: "reference values",
                found: values.len(),
                rows: groups.len(),
                features,
            });
        }
        if let Some(at) = self.values.iter().position(|value| value.is_infinite()) {
            return Err(TrainError::Infinite {
                row: at / features,
                feature: self.names[at % features].clone(),
            });
        }
        if let Some(row) = self.weights.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0)) {
            return Err(TrainError::Weight { row, weight: self.weights[row] });
        }
        if !self.has_both_outcomes() {
            return Err(TrainError::OneOutcome {
                lost: self.lost.iter().filter(|lost| **lost).count(),
                rows,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Rows {
        Rows {
            names: vec!["a".to_owned(), "b".to_owned()],
            values: vec![1.0, f32::NAN, 2.0, 3.0, 4.0, 5.0],
            lost: vec![true, false, false],
            weights: vec![],
            groups: vec![1, 2, 3],
            as_of: vec![EventTime(5), EventTime(7), EventTime(6)],
            reference: Reference::default(),
        }
    }

    #[test]
    fn good_rows_pass() {
        rows().check().unwrap();
        assert_eq!(rows().window(), Some((EventTime(5), EventTime(7))));
        assert_eq!(rows().loss_rate(), Some(1.0 / 3.0));
        let weighted = Rows { weights: vec![2.0, 1.0, 1.0], ..rows() };
        assert_eq!(weighted.loss_rate(), Some(0.5));
    }

    #[test]
    fn a_choice_keeps_what_belongs_together() {
        let kept = Rows { weights: vec![1.0, 2.0, 3.0], ..rows() }.filter(|row| row != 1);
        assert_eq!((kept.row(1), kept.weight(1), kept.groups[1]), (&[4.0, 5.0][..], 3.0, 3));
        assert_eq!((kept.lost, kept.as_of), (vec![true, false], vec![EventTime(5), EventTime(6)]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |rows: Rows| rows.check().unwrap_err().to_string();
        assert_eq!(message(Rows { values: vec![1.0], ..rows() }), "1 values for 3 rows of 2 features");
        assert_eq!(message(Rows { weights: vec![1.0], ..rows() }), "1 weights for 3 rows of 2 features");
        assert_eq!(message(Rows { groups: vec![], ..rows() }), "0 users for 3 rows of 2 features");
        let reference = Reference { values: vec![1.0], groups: vec![1], ageing: vec![] };
        assert_eq!(message(Rows { reference, ..rows() }), "1 reference values for 1 rows of 2 features");
        let mut infinite = rows();
        infinite.values[3] = f32::NEG_INFINITY;
        assert_eq!(message(infinite), "row 1 has an infinite value of `b`");
        let weight = message(Rows { weights: vec![1.0, -1.0, f32::NAN], ..rows() });
        assert_eq!(weight, "row 1 has the weight -1; weights are finite and not negative");
        let alike = message(Rows { lost: vec![false; 3], ..rows() });
        assert_eq!(alike, "0 of 3 rows are of lost users: a model needs some of both");
        let weightless = message(Rows { weights: vec![0.0, 1.0, 1.0], ..rows() });
        assert_eq!(weightless, "1 of 3 rows are of lost users: a model needs some of both");
    }
}
