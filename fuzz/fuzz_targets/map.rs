//! A mapping file of an import: any text is a mapping or refused.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use producer::map::Mapping;

fuzz_target!(|text: &str| {
    // Side tables are other files; what a name in a random text would open is not this target's business.
    if !text.contains("file") {
        let _ = Mapping::from_toml(text, Path::new("map.toml"));
    }
});
