use proptest::prelude::*;

use super::*;
use crate::predict::tests::{any_model, any_rows};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The safe form of the same tables, the vectors, and the plain walk agree to the bit.
    #[test]
    fn vectors_equal_safe_code((model, rows) in any_model().prop_flat_map(|model| {
        let rows = any_rows(&model, 1..150);
        (Just(model), rows)
    })) {
        let Some(quantised) = Quantised::new(&model) else { return Ok(()) };
        let width = model.n_features();
        let expected: Vec<_> = rows.chunks_exact(width).map(|row| model.margin(row).to_bits()).collect();
        let safe: Vec<_> = rows.chunks_exact(width).map(|row| quantised.margin(row).to_bits()).collect();
        prop_assert_eq!(&safe, &expected);
        let Some(vectors) = Avx512::new(&model) else { return Ok(()) };
        let mut bins = vectors.bins();
        for grouping in [Grouping::Best, Grouping::Columns, Grouping::Single] {
            let mut out = vec![f32::NAN; expected.len()];
            vectors.margins(&rows, width, &mut out, &mut bins, grouping);
            let bits: Vec<_> = out.iter().map(|margin| margin.to_bits()).collect();
            prop_assert_eq!(&bits, &expected, "{:?}", grouping);
        }
    }
}
