//! A feature spec: any text is a spec or refused.
#![no_main]

use std::path::Path;

use feature_store::Spec;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(spec) = Spec::from_toml(text, Path::new("spec.toml")) {
        assert!(!spec.hash().as_str().is_empty());
    }
});
