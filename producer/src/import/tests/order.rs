//! In which order files come, and what a second import of them does.

use super::*;

pub(super) fn rows(times: impl IntoIterator<Item = (u64, i64)>) -> String {
    let mut text = "user,at,what,n\n".to_owned();
    for (user, ms) in times {
        text.push_str(&format!("u{user},{ms},play,1\n"));
    }
    text
}

/// Whether each partition's records are in order of time.
pub(super) fn is_in_order(bench: &Bench) -> bool {
    (0..2).all(|p| {
        let times: Vec<i64> = bench
            .partition(p)
            .iter()
            .filter(|(s, _)| s != "tick")
            .map(|(_, text)| text.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        times.is_sorted()
    })
}

#[test]
fn what_is_out_of_order_is_sorted_what_overlaps_is_merged_and_the_rest_stays() {
    let in_order = rows((0..500).map(|i| (i % 7, T0 + i as i64 * DAY / 10)));
    let backwards = rows((0..500).map(|i| (i % 7, T0 - i as i64 * DAY / 10)));
    let nearly = rows((0..500).map(|i| (i % 7, T0 + (i as i64 ^ 1) * DAY / 10)));
    for (files, order) in [
        (vec![&in_order], "as_read"),
        (vec![&nearly], "as_read"),
        (vec![&backwards], "sorted"),
        (vec![&in_order, &in_order], "merged"),
        (vec![&in_order, &backwards], "sorted"),
    ] {
        let bench = Bench::new();
        let paths: Vec<PathBuf> = files
            .iter()
            .enumerate()
            .map(|(i, text)| bench.file(&format!("{i}.csv"), text.as_bytes()))
            .collect();
        let summary = bench.import(MAP, &paths).unwrap();
        assert_eq!(summary.order, order);
        assert_eq!(summary.events, 500 * files.len() as u64);
        assert!(files[0] == &nearly || is_in_order(&bench), "{order}");
        let again = bench.import(MAP, &paths).unwrap();
        assert_eq!((again.held, again.tick_records), (summary.events, 0), "nothing is repeated");
    }
}

#[test]
fn a_file_may_be_added_later_and_a_changed_one_is_refused() {
    let bench = Bench::new();
    let text = rows((0..300).map(|i| (i % 5, T0 + i as i64 * 60_000)));
    let first = bench.file("1.csv", text.as_bytes());
    bench.import(MAP, std::slice::from_ref(&first)).unwrap();
    let second = bench.file("2.csv", text.as_bytes());
    let both = bench.import(MAP, &[second.clone(), first.clone()]).unwrap();
    assert_eq!((both.events, both.held), (600, 300));
    assert_eq!(bench.records().len(), 600);
    bench.file("1.csv", rows((0..200).map(|i| (i % 5, T0 + i as i64 * 60_000))).as_bytes());
    let error = bench.import(MAP, &[first]).unwrap_err().to_string();
    assert!(error.contains("it has changed since"), "{error}");
}

#[test]
fn an_order_that_was_begun_with_is_kept_or_refused() {
    let hour = DAY / 24;
    let at = |hours: &[i64]| rows(hours.iter().map(|h| (1, T0 + h * hour)));
    let sources = |bench: &Bench| -> Vec<String> { bench.records().into_iter().map(|(s, _)| s).collect() };
    // A file that stood in its own order, and another for which both would be sorted.
    let bench = Bench::new();
    let a = bench.file("a.csv", at(&[0, 10, 2]).as_bytes());
    bench.import(MAP, std::slice::from_ref(&a)).unwrap();
    let b = bench.file("b.csv", at(&[100, 0]).as_bytes());
    let error = bench.import(MAP, &[a.clone(), b.clone()]).unwrap_err().to_string();
    assert!(error.contains("a.csv` was written to this topic in its own order: say --sort never"), "{error}");
    assert_eq!(sources(&bench), ["a.csv:2", "a.csv:3", "a.csv:4"]);
    bench.import(MAP, std::slice::from_ref(&b)).unwrap();
    assert_eq!(sources(&bench), ["a.csv:2", "a.csv:3", "a.csv:4", "b.csv:3", "b.csv:2"]);
    // A sorted file stays sorted, though it need not be by itself any more.
    bench.file("b.csv", at(&[100, 0]).as_bytes());
    let mut lenient = bench;
    lenient.options.lateness = types::Millis(1000 * hour);
    let again = lenient.import(MAP, std::slice::from_ref(&b)).unwrap();
    assert_eq!((again.order, again.held), ("sorted", 2));
    lenient.options.sort = Sort::Never;
    let error = lenient.import(MAP, &[b]).unwrap_err().to_string();
    assert!(error.contains("sorted: say --sort always"), "{error}");
    assert_eq!(sources(&lenient).len(), 5);
}

#[test]
fn what_would_be_lost_or_repeated_because_the_source_is_another_is_refused() {
    let hour = DAY / 24;
    let sorted = |hours: &[i64]| rows(hours.iter().map(|h| (1, T0 + h * hour)));
    let same = sorted(&[100, 0, 50]);
    let number = MAP.to_owned();
    let text = MAP.replace("kind = \"number\"", "kind = \"text\"");
    let many = same.replacen(",play,1", ",play,many", 1);
    for (before, map, after, map_after) in [
        // A row behind the others that belongs before the last of them.
        (&same, &number, &sorted(&[100, 0, 50, 60]), &number),
        // One that is gone, one that has another value, and one that the map can read now.
        (&same, &number, &sorted(&[100, 50]), &number),
        (&same, &number, &same.replacen(",play,1", ",play,2", 1), &number),
        (&many, &number, &many, &text),
    ] {
        let bench = Bench::new();
        let a = bench.file("a.csv", before.as_bytes());
        bench.import(map, std::slice::from_ref(&a)).unwrap();
        let had = bench.records();
        bench.import(map, std::slice::from_ref(&a)).unwrap();
        bench.file("a.csv", after.as_bytes());
        let error = bench.import(map_after, &[a]).unwrap_err();
        let changed = matches!(error, ImportError::Sink(crate::sink::SinkError::SourceChanged { .. }));
        assert!(changed, "{error}");
        // A row that became an event may have come to another partition before it was found out.
        assert!(map != map_after || bench.records() == had);
    }
}

#[test]
fn objects_that_share_a_line_are_imported_once() {
    let object = |i: i64| format!(r#"{{"user":"u{}","at":{},"what":"play","n":1}}"#, i % 5, T0 + i);
    let objects: Vec<String> = (0..100).map(object).collect();
    for between in [",", ",\n", " , {} ,"] {
        let bench = Bench::new();
        let file = bench.file("a.json", format!("[{}]", objects.join(between)).as_bytes());
        let first = bench.import(MAP, std::slice::from_ref(&file)).unwrap();
        assert_eq!(first.events, 100);
        let again = bench.import(MAP, &[file]).unwrap();
        assert_eq!(again.held, first.events + first.rejected_rows(), "{between}");
        let mut places: Vec<_> = bench.records().into_iter().map(|(source, _)| source).collect();
        places.sort();
        places.dedup();
        assert_eq!(places.len() as u64, again.held, "{between}");
        assert_eq!(bench.records().len() as u64, again.held, "{between}");
    }
}

#[test]
fn a_time_of_seconds_among_milliseconds_costs_no_ticks_and_no_order() {
    let bench = Bench::new();
    let text = format!(
        "user,at,what,n\nu1,1700000000,play,1\nu1,{T0},play,1\nu2,1700000000,play,1\nu2,{},play,1\n",
        T0 + 1
    );
    let file = bench.file("a.csv", text.as_bytes());
    let summary = bench.import(MAP, &[file]).unwrap();
    assert_eq!((summary.events, summary.order), (4, "as_read"));
    assert!(summary.tick_records <= 4, "{summary:?}");
}

#[test]
fn the_choice_of_an_order_sees_times_that_are_spread_or_joined() {
    let hour = DAY / 24;
    let bench = Bench::new();
    let map = r#"
        [entity]
        type = "user"
        id = "user"
        [time]
        column = "at"
        format = "ms"
        [type]
        constant = "play"
        [[event]]
        count = "n"
        spread = "day"
    "#;
    // The first row's events go on for 24 hours, beyond the lateness from the second row on.
    let text = format!("user,at,n\nu1,{},5\nu1,{T0},5\n", T0 + 6 * hour);
    let file = bench.file("spread.csv", text.as_bytes());
    let summary = bench.import(map, &[file]).unwrap();
    assert_eq!((summary.order, summary.events), ("sorted", 10));
    assert!(is_in_order(&bench));
    let day_by_day: Vec<_> = (0..20).map(|i| format!("u{i},{},5", T0 + i / 4 * DAY)).collect();
    let bench = Bench::new();
    let file = bench.file("days.csv", format!("user,at,n\n{}\n", day_by_day.join("\n")).as_bytes());
    assert_eq!(bench.import(map, &[file]).unwrap().order, "as_read", "a day of them is within the lateness");

    let bench = Bench::new();
    let file = bench.file("joined.csv", b"user,what\nu2,play\nu1,play\n");
    bench.file("times.csv", format!("id,at\nu1,{T0}\nu2,{}\n", T0 + 9 * DAY).as_bytes());
    let map = bench.file("map.toml", b"[entity]\ntype=\"user\"\nid=\"user\"\n[time]\ncolumn=\"times.at\"\nformat=\"ms\"\n[type]\ncolumn=\"what\"\n[[join]]\nname=\"times\"\nfile=\"times.csv\"\nkey=\"id\"\non=\"user\"\ncolumns=[\"at\"]\n");
    let mapping = Mapping::load(&map, &[]).unwrap();
    let summary =
        import(&bench.log, &inputs(&mapping, &[file]), &bench.options, &Surroundings::default()).unwrap();
    assert_eq!((summary.order, summary.events), ("sorted", 2));
}
