//! The features that moved a score most, and words for them.

use types::Reason;

/// The `k` features with the largest effects, strongest first: their numbers and effects. Features without effect are left out.
///
/// Equal effects come in the features' order. O(features * k).
#[must_use]
pub fn top_reasons(effects: &[f32], k: usize) -> Vec<(usize, f32)> {
    let mut strongest = Vec::new();
    top_reasons_into(effects, k, &mut strongest);
    strongest
}

/// As [`top_reasons`], in place of what `strongest` holds: allocates nothing once it has held `k`.
pub fn top_reasons_into(effects: &[f32], k: usize, strongest: &mut Vec<(usize, f32)>) {
    strongest.clear();
    for (feature, &effect) in effects.iter().enumerate().filter(|(_, effect)| **effect != 0.0) {
        let stronger = |(_, other): &(usize, f32)| other.abs().total_cmp(&effect.abs()).is_ge();
        let at = strongest.partition_point(stronger);
        if at < k {
            strongest.truncate(k - 1);
            strongest.insert(at, (feature, effect));
        }
    }
}

/// The reasons for a row's score, strongest first, as they stand in a score.
///
/// # Panics
/// If `names`, `row` and `effects` are not of one length.
#[must_use]
pub fn reasons(names: &[String], row: &[f32], effects: &[f32], k: usize) -> Vec<Reason> {
    assert!(
        names.len() == row.len() && row.len() == effects.len(),
        "names, values and effects of the same features"
    );
    let reason = |(at, effect): (usize, f32)| Reason {
        feature: names[at].clone(),
        // JSON has no number for a missing value.
        value: Some(row[at]).filter(|value| value.is_finite()),
        effect,
    };
    top_reasons(effects, k).into_iter().map(reason).collect()
}

/// A reason in words. An effect is an association that the model found, not a cause, and the words say no more.
#[must_use]
pub fn sentence(reason: &Reason) -> String {
    let direction = if reason.effect > 0.0 { "higher" } else { "lower" };
    match reason.value {
        Some(value) => format!("{} is {value}, which is associated with a {direction} risk", reason.feature),
        None => format!("{} has no value, which is associated with a {direction} risk", reason.feature),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_come_first_and_ties_in_order() {
        assert_eq!(top_reasons(&[0.1, -0.5, 0.0, 0.5], 9), [(1, -0.5), (3, 0.5), (0, 0.1)]);
        assert_eq!(top_reasons(&[0.1, -0.5, 0.0, 0.5], 1), [(1, -0.5)]);
        assert_eq!(top_reasons(&[0.5, -0.5, 1.0, 2.0, -0.5], 3), [(3, 2.0), (2, 1.0), (0, 0.5)]);
        assert_eq!(top_reasons(&[], 3), []);
        assert_eq!(top_reasons(&[1.0], 0), []);
    }

    #[test]
    fn sentences_claim_no_cause() {
        let names = ["watch_sum_7d".to_owned(), "ads_count_7d".to_owned()];
        let reasons = reasons(&names, &[42.0, f32::NAN], &[0.5, -1.0], 2);
        let texts: Vec<_> = reasons.iter().map(sentence).collect();
        assert_eq!(texts[0], "ads_count_7d has no value, which is associated with a lower risk");
        assert_eq!(texts[1], "watch_sum_7d is 42, which is associated with a higher risk");
    }
}
