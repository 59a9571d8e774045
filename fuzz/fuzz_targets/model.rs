//! A model file, JSON or UBJSON: any bytes are a model or refused, and every evaluator takes what is a model.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scorer::{Evaluator, Model, Predictor};

fuzz_target!(|data: &[u8]| {
    let Ok(model) = Model::from_bytes(data) else { return };
    if model.n_features() > 1_000 {
        return;
    }
    for value in [f32::NAN, 0.0, -1.5] {
        let row = vec![value; model.n_features()];
        let expected = model.margin(&row);
        for evaluator in Evaluator::ALL {
            let Some(predictor) = Predictor::with(&model, evaluator) else { continue };
            let mut margin = [0.0];
            predictor.margins(&row, &mut margin, &mut predictor.scratch());
            assert_eq!(margin[0].to_bits(), expected.to_bits(), "{evaluator:?} at {value}");
        }
    }
});
