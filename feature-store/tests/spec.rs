//! Specs: what is refused and where, what the hash depends on, how columns are ordered.

// A test that fails says so by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use feature_store::{Spec, Tick, Told};
use types::{EventTime, Millis};

const GOOD: &str = r#"version = 1
entity = "user"

[inputs.plays]
events = ["play", "resume"]
value = "watch_s"
scale = 3

[inputs.all]

[[features]]
input = ["all", "plays"]
ops = ["count", "recency"]
windows = ["24h", "all"]
"#;

fn read(text: &str) -> Result<Spec, String> {
    Spec::from_toml(text, Path::new("dir/s.toml")).map_err(|e| e.to_string())
}

#[test]
fn columns_stand_window_by_window_input_by_input() {
    let spec = read(GOOD).unwrap();
    let want = [
        "all_count_24h",
        "all_recency_24h",
        "plays_count_24h",
        "plays_recency_24h",
        "all_count_all",
        "all_recency_all",
        "plays_count_all",
        "plays_recency_all",
    ];
    assert_eq!(spec.feature_names(), want);
    assert_eq!(spec.allowed_lateness(), Millis::DAY);
    assert_eq!(spec.reach(), Millis(2 * Millis::DAY.0));
    assert_eq!(spec.entity(), "user");
}

#[test]
fn faults_name_file_line_and_field() {
    // (what to replace, with what, where the error is and what it says)
    let cases = [
        ("version = 1", "version = 2", "dir/s.toml:1: version: only version 1 is known"),
        ("entity = \"user\"", "entity = \"\"", "dir/s.toml:2: entity: must name"),
        ("entity = \"user\"", "entity = 7", "dir/s.toml:2: entity: invalid type"),
        ("entity = \"user\"", "entiti = \"user\"", "dir/s.toml:2: entiti: unknown field"),
        ("entity = \"user\"", "", "missing field `entity`"),
        (
            "entity = \"user\"",
            "entity = \"user\"\nallowed_lateness = \"1 day\"",
            "dir/s.toml:3: allowed_lateness: `1 day`",
        ),
        (
            "entity = \"user\"",
            "entity = \"user\"\nallowed_lateness = \"31d\"",
            "allowed_lateness: must lie between 0",
        ),
        ("entity = \"user\"", "entity = \"user\"\nevent_cap = 3", "dir/s.toml:3: event_cap: must lie"),
        ("entity = \"user\"", "entity = \"user\"\ntick.every = \"1s\"", "tick.every: must lie"),
        ("entity = \"user\"", "entity = \"user\"\ntick.offset = \"24h\"", "tick.offset: must lie"),
        ("[inputs.all]", "[inputs.\"a b\"]", "inputs.a b: a name is made of"),
        ("scale = 3", "scale = 10", "dir/s.toml:7: inputs.plays.scale: must be at most 9"),
        ("value = \"watch_s\"", "", "inputs.plays.scale: means nothing without a value"),
        ("value = \"watch_s\"\nscale = 3", "unit = \"s\"", "plays.unit: means nothing without a value"),
        ("scale = 3", "verb = \"\"", "dir/s.toml:7: inputs.plays.verb: is a word for people"),
        ("[\"play\", \"resume\"]", "[]", "dir/s.toml:5: inputs.plays.events: names no type"),
        ("[\"play\", \"resume\"]", "[\"$tick\"]", "inputs.plays.events: `$tick` is no type"),
        ("scale = 3", "where = { field = \"x\" }", "dir/s.toml:7: inputs.plays.where: needs one of"),
        (
            "[\"all\", \"plays\"]",
            "[\"all\", \"stops\"]",
            "dir/s.toml:12: features[0].input: stops is no input",
        ),
        ("\"recency\"]", "\"median\"]", "dir/s.toml:13: features[0].ops: median is none of count, sum"),
        ("\"recency\"]", "\"sum\"]", "features[0].ops: sum needs a `value` in [inputs.all]"),
        ("\"recency\"]", "\"distinct\"]", "features[0].ops: distinct needs a `text`"),
        ("\"recency\"]", "\"sessions\"]", "features[0].ops: sessions cannot have the window `all`"),
        ("\"recency\"]", "\"tenure\"]", "features[0].ops: tenure has only the window `all`"),
        (
            "\"recency\"]",
            "\"count\"]",
            "dir/s.toml:11: features[0]: the feature all_count_24h is there twice",
        ),
        ("\"24h\"", "\"30m\"", "dir/s.toml:14: features[0].windows: `30m` is neither"),
        ("\"24h\"", "\"91d\"", "features[0].windows: `91d` is neither"),
        ("windows =", "gap = \"0s\"\nwindows =", "dir/s.toml:14: features[0].gap: must lie"),
        (
            "[inputs.all]",
            "[inputs.all]\n[lifecycle]\nend = \"x\"\nstart = [\"x\"]",
            "lifecycle.end: x cannot both",
        ),
        (
            "[inputs.all]",
            "[inputs.all]\n[[ratios]]\nname = \"r\"\nnumerator = \"all_count_24h\"\ndenominator = \"none\"",
            "dir/s.toml:13: ratios[0].denominator: none is no feature",
        ),
        (
            "[inputs.all]",
            "[inputs.all]\n[[attributes]]\nname = \"p\"\nencoding = \"onehot\"",
            "attributes[0].encoding: means nothing",
        ),
        (
            "[inputs.all]",
            "[inputs.all]\n[[attributes]]\nname = \"p\"\ncategories = []",
            "attributes[0].categories: must be 1 to",
        ),
        (
            "[inputs.all]",
            "[inputs.all]\n[[attributes]]\nname = \"p\"\ncategories = [\"a\"]\nencoding = \"hash\"",
            "dir/s.toml:13: attributes[0].encoding: is neither",
        ),
        ("[[features]]", "[features]", "features"),
        ("version = 1", "version = ", "dir/s.toml:1: version"),
    ];
    for (from, to, want) in cases {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from} is not there");
        let error = read(&text).map(|_| ()).unwrap_err();
        assert!(error.contains(want), "for {to:?}: {error:?} does not contain {want:?}");
    }
    assert!(read("").unwrap_err().contains("missing field"));
    let nothing = read("version = 1\nentity = \"user\"").unwrap_err();
    assert_eq!(nothing, "dir/s.toml:1: features: there must be at least one feature or attribute");
}

#[test]
fn the_hash_is_of_the_meaning() {
    let hash = read(GOOD).unwrap().hash();
    assert_eq!(hash.as_str().len(), 16);
    // Comments, white space, a default written out, the order of types.
    let same = GOOD
        .replace(
            "entity = \"user\"",
            "# who\nentity   = 'user'\nallowed_lateness = \"1d\"\nevent_cap = 32768",
        )
        .replace("[\"play\", \"resume\"]", "[\"resume\",   \"play\", \"play\"]");
    assert_eq!(read(&same).unwrap().hash(), hash);
    for (from, to) in [
        ("\"user\"", "\"account\""),
        ("scale = 3", "scale = 2"),
        ("\"resume\"", "\"restart\""),
        ("\"24h\"", "\"25h\""),
        ("\"24h\"", "\"1d\""),
        ("\"count\", \"recency\"", "\"recency\", \"count\""),
        ("scale = 3", "scale = 3\nwhere = { field = \"d\", is = \"tv\" }"),
        ("entity =", "allowed_lateness = \"23h\"\nentity ="),
        ("entity =", "max_ahead = \"23h\"\nentity ="),
        ("entity =", "event_cap = 100\nentity ="),
        ("entity =", "lifecycle.silence = \"60d\"\nentity ="),
        ("entity =", "lifecycle.end = \"x\"\nentity ="),
        ("entity =", "tick.grace = \"2h\"\nentity ="),
    ] {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(read(&text).unwrap().hash(), hash, "{to} does not change the hash");
    }
    // What stores hold was made under this hash: it may only change with the meaning of the format.
    assert_eq!(hash.as_str(), "7ec726365ffef9b6");
}

#[test]
fn what_values_stand_for_is_known_and_changes_no_hash() {
    let plain = r#"
version = 1
entity = "user"
[inputs.plays]
events = "play"
value = "watch_s"
text = "genre"
[[features]]
input = "plays"
ops = ["count", "sum", "distinct"]
windows = "7d"
[[ratios]]
name = "watched_a_play"
numerator = "plays_sum_7d"
denominator = "plays_count_7d"
[[attributes]]
name = "plan"
categories = ["basic", "family"]
encoding = "onehot"
other = true
[[attributes]]
name = "country"
categories = ["US", "BR"]
"#;
    let told = plain.replace("text =", "unit = \"s\"\nverb = \"watched\"\ntext =");
    let (plain, told) = (read(plain).unwrap(), read(&told).unwrap());
    assert_eq!(plain.hash(), told.hash(), "words for people");
    let value = |unit, verb| Some(Told::Value { field: "watch_s", unit, verb });
    assert_eq!(plain.told("plays_sum_7d"), value(None, None));
    assert_eq!(told.told("plays_sum_7d"), value(Some("s"), Some("watched")));
    assert_eq!(told.told("plays_count_7d"), None);
    assert_eq!(told.told("plays_distinct_7d"), Some(Told::Texts { field: "genre" }));
    let is = |category| Some(Told::Is { attribute: "plan", category });
    assert_eq!((told.told("plan_family"), told.told("plan_other")), (is(Some("family")), is(None)));
    let categories = &["US".to_owned(), "BR".to_owned()][..];
    assert_eq!(told.told("country"), Some(Told::Category { attribute: "country", categories }));
    assert_eq!(told.told("plan"), None);
    let ratio = Told::Ratio { numerator: "plays_sum_7d", denominator: "plays_count_7d" };
    assert_eq!(told.told("watched_a_play"), Some(ratio));
}

#[test]
fn ticks_fall_at_their_offset() {
    let tick = Tick::default();
    assert_eq!(tick.next_after(EventTime(0)), EventTime(86_400_000));
    assert_eq!(tick.next_after(EventTime(86_399_999)), EventTime(86_400_000));
    let early = Tick { offset: Millis(3_600_000), ..tick };
    assert_eq!(early.next_after(EventTime(0)), EventTime(3_600_000));
    assert_eq!(early.next_after(EventTime(3_600_000)), EventTime(3_600_000 + 86_400_000));
    assert_eq!(early.next_after(EventTime(-1_000_000_000)).0.rem_euclid(86_400_000), 3_600_000);
}
