//! An event in JSON: any bytes are decoded or refused, and what was decoded is written and read back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use types::Event;

fuzz_target!(|data: &[u8]| {
    let mut event = Event::default();
    if event.decode(data).is_ok() {
        let mut once = Vec::new();
        event.encode(&mut once);
        let mut again = Event::default();
        again.decode(&once).expect("what was written is read");
        let mut twice = Vec::new();
        again.encode(&mut twice);
        assert_eq!(once, twice, "and written again the same");
    }
});
