//! Probabilities beside what happened, sorted once so that many resamples can be measured in one pass each.

/// Scored rows with outcomes, the highest probability first.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Probabilities, falling; NaN counts as 0.
    pub(super) probability: Vec<f64>,
    pub(super) lost: Vec<bool>,
    pub(super) weight: Vec<f64>,
    /// A number for each user, from 0.
    pub(super) user: Vec<u32>,
    /// Where runs of one probability end (the place after their last row).
    pub(super) ends: Vec<u32>,
    pub(super) users: usize,
}

impl Judged {
    /// Sorts rows for measuring. `user` gives each row's user as a number below `users`; `weight` how much it counts.
    /// O(n log n).
    ///
    /// # Panics
    /// If the lists differ in length, or a user's number is too large.
    #[must_use]
    pub fn new(probability: &[f32], lost: &[bool], weight: &[f32], user: &[u32], users: usize) -> Self {
        let rows = probability.len();
        assert!(lost.len() == rows && weight.len() == rows && user.len() == rows, "one entry a row");
        assert!(user.iter().all(|user| (*user as usize) < users), "users are numbered from 0");
        let score = |row: u32| {
            let p = f64::from(probability[row as usize]);
            // Adding zero makes -0 and 0 one score.
            if p.is_nan() { 0.0 } else { p + 0.0 }
        };
        let mut origin: Vec<u32> = (0..rows as u32).collect();
        origin.sort_by(|a, b| score(*b).total_cmp(&score(*a)));
        let sorted: Vec<f64> = origin.iter().map(|row| score(*row)).collect();
        let ends = (1..=rows).filter(|at| *at == rows || sorted[*at] != sorted[at - 1]);
        Self {
            ends: ends.map(|at| at as u32).collect(),
            lost: origin.iter().map(|row| lost[*row as usize]).collect(),
            weight: origin.iter().map(|row| f64::from(weight[*row as usize])).collect(),
            user: origin.iter().map(|row| user[*row as usize]).collect(),
            probability: sorted,
            users,
        }
    }

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

    /// The number of rows of lost users.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.lost.iter().filter(|lost| **lost).count()
    }

    /// The sum of weights, and that of lost users.
    #[must_use]
    pub fn weights(&self) -> (f64, f64) {
        let all = self.weight.iter().sum();
        (all, self.weight.iter().zip(&self.lost).filter(|(_, lost)| **lost).map(|(weight, _)| weight).sum())
    }
}

/// Numbers users in the order of their first row. Returns the number of each row's user, and how many users there are.
#[must_use]
pub fn number_users(entities: &[String]) -> (Vec<u32>, usize) {
    let mut numbers = hashbrown::HashMap::new();
    let of_rows = entities
        .iter()
        .map(|entity| {
            let next = numbers.len() as u32;
            *numbers.entry(entity.as_str()).or_insert(next)
        })
        .collect();
    (of_rows, numbers.len())
}
