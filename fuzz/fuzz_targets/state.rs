//! A user's state from a block of the store: any bytes are a state or refused, and a state writes itself as it was read.
#![no_main]

use feature_store::{StateValue, UserState};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(state) = UserState::decode(data) {
        let mut once = Vec::new();
        state.encode(&mut once);
        let again = UserState::decode(&once).expect("what was written is read");
        let mut twice = Vec::new();
        again.encode(&mut twice);
        assert_eq!(once, twice, "and written again the same");
    }
});
