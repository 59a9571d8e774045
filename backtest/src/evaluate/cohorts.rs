//! Cohorts by what the spec's attributes say of users: plan, country, whatever is a text.

use feature_store::{Spec, Told};

use crate::LabelledRows;

/// An attribute has no more parts than that; the smaller ones are one part together.
const MOST_PARTS: usize = 24;

/// Rows by their text of one attribute.
pub(super) struct Cohort {
    /// The attribute's name.
    pub(super) by: String,
    /// The texts, in the spec's order; then what is none of them.
    pub(super) names: Vec<String>,
    /// Which of the names each row has.
    pub(super) of: Vec<usize>,
}

/// The cohorts of every attribute that is a text, however the spec encodes it. O(rows times columns).
pub(super) fn cohorts(rows: &LabelledRows, spec: &Spec) -> Vec<Cohort> {
    let told = |column: usize| spec.told(&rows.names[column]);
    let attribute = |column: usize| match told(column) {
        Some(Told::Category { attribute, .. } | Told::Is { attribute, .. }) => Some(attribute),
        _ => None,
    };
    let columns: Vec<usize> = (0..rows.names.len()).filter(|column| attribute(*column).is_some()).collect();
    let mut all = Vec::new();
    for columns in columns.chunk_by(|a, b| attribute(*a) == attribute(*b)) {
        let first = columns[0];
        let mut names: Vec<String> = match told(first) {
            Some(Told::Category { categories, .. }) => categories.to_vec(),
            _ => columns
                .iter()
                .filter_map(|column| match told(*column) {
                    Some(Told::Is { category, .. }) => category.map(str::to_owned),
                    _ => None,
                })
                .collect(),
        };
        let texts = names.len();
        names.extend(["other", "unknown"].map(str::to_owned));
        let is_one_column = matches!(told(first), Some(Told::Category { .. }));
        let text_of = |row: &[f32]| {
            let value = row[first];
            if value.is_nan() {
                texts + 1
            } else if is_one_column {
                (value as usize).min(texts)
            } else {
                columns.iter().position(|column| row[*column] == 1.0).unwrap_or(texts)
            }
        };
        let of = (0..rows.len()).map(|row| text_of(rows.row(row))).collect();
        all.push(few(Cohort { by: attribute(first).unwrap_or_default().to_owned(), names, of }));
    }
    all
}

/// The same with the parts of fewest rows put together, where there are too many to look at.
fn few(cohort: Cohort) -> Cohort {
    let Cohort { by, names, of } = cohort;
    let mut sizes = vec![0_usize; names.len()];
    of.iter().for_each(|part| sizes[*part] += 1);
    let mut order: Vec<usize> = (0..names.len()).filter(|part| sizes[*part] > 0).collect();
    if order.len() <= MOST_PARTS {
        return Cohort { by, names, of };
    }
    order.sort_by_key(|part| std::cmp::Reverse(sizes[*part]));
    let mut kept = order[..MOST_PARTS - 1].to_vec();
    kept.sort_unstable();
    let mut place = vec![kept.len(); names.len()];
    kept.iter().enumerate().for_each(|(at, part)| place[*part] = at);
    let rest = format!("{} smaller ones", order.len() - kept.len());
    let names = kept.into_iter().map(|part| names[part].clone()).chain([rest]).collect();
    Cohort { by, names, of: of.into_iter().map(|part| place[part]).collect() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn found(attribute: &str, rows: &[&[f32]]) -> (String, Vec<String>) {
        let text = format!(
            "version = 1\nentity = \"user\"\n[inputs.all]\n[[features]]\ninput = \"all\"\nops = \"count\"\nwindows = \"7d\"\n[[attributes]]\nname = \"plan\"\n{attribute}"
        );
        let spec = Spec::from_toml(&text, Path::new("spec.toml")).unwrap();
        let mut labelled = LabelledRows { names: spec.feature_names().to_vec(), ..LabelledRows::default() };
        for row in rows {
            labelled.values.push(3.0);
            labelled.values.extend_from_slice(row);
            labelled.lost.push(false);
        }
        let mut cohorts = cohorts(&labelled, &spec);
        let Cohort { by, names, of } = cohorts.remove(0);
        assert!(cohorts.is_empty());
        (by, of.into_iter().map(|part| names[part].clone()).collect())
    }

    #[test]
    fn an_attribute_is_a_cohort_however_it_is_encoded() {
        let expected = ("plan".to_owned(), ["b", "a", "other", "unknown"].map(str::to_owned).to_vec());
        let texts = "categories = [\"a\", \"b\"]\n";
        let ordinal = found(&format!("{texts}other = true\n"), &[&[1.0], &[0.0], &[2.0], &[f32::NAN]]);
        assert_eq!(ordinal, expected);
        let missing: &[f32] = &[f32::NAN; 3];
        let rows = [&[0.0, 1.0, 0.0], &[1.0, 0.0, 0.0], &[0.0, 0.0, 1.0], missing];
        assert_eq!(found(&format!("{texts}encoding = \"onehot\"\nother = true\n"), &rows), expected);
    }

    #[test]
    fn of_very_many_texts_the_rare_ones_are_one_part() {
        let texts: Vec<String> = (0..40).map(|text| format!("\"t{text}\"")).collect();
        // The text t has t + 1 rows.
        let rows: Vec<Vec<f32>> = (0..40).flat_map(|text| vec![vec![text as f32]; text + 1]).collect();
        let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        let (_, of) = found(&format!("categories = [{}]\n", texts.join(", ")), &rows);
        let named = |name: &str| of.iter().filter(|of| *of == name).count();
        assert_eq!((named("t39"), named("t17"), named("t16")), (40, 18, 0));
        assert_eq!(named("17 smaller ones"), (1..=17).sum::<usize>());
        assert_eq!(of.len(), rows.len());
    }
}
