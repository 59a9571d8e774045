//! Rows that a map could not read, brought in by a mended one.

use super::*;

/// Ten rows of which every third cannot be read by [`MAP`], and a map that can.
fn broken(bench: &Bench) -> (PathBuf, String) {
    let mut text = "user,at,what,n\n".to_owned();
    for i in 0..10 {
        let n = if i % 3 == 0 { "many".to_owned() } else { i.to_string() };
        text.push_str(&format!("u{i},{},play,{n}\n", T0 + i));
    }
    (bench.file("a.csv", text.as_bytes()), MAP.replace("kind = \"number\"", "kind = \"text\""))
}

fn mended(
    log: &dyn partition_log::Log,
    bench: &Bench,
    map: &str,
    file: &Path,
) -> Result<MendSummary, ImportError> {
    let mapping = Mapping::from_toml(map, Path::new("map.toml")).unwrap();
    mend(log, &inputs(&mapping, &[file.to_owned()]), &bench.options, &Surroundings::default())
}

#[test]
fn rejected_rows_come_in_once_by_a_mended_map_and_imports_go_on_as_before() {
    let bench = Bench::new();
    let (file, map) = broken(&bench);
    let first = bench.import(MAP, std::slice::from_ref(&file)).unwrap();
    assert_eq!((first.events, first.rejected_rows()), (6, 4));
    // The old map mends nothing.
    let report = mended(&bench.log, &bench, MAP, &file).unwrap();
    assert_eq!((report.rejected, report.events, report.still_rejected.get("wrong_type")), (4, 0, Some(&4)));
    for (events, already) in [(4, 0), (0, 4)] {
        let report = mended(&bench.log, &bench, &map, &file).unwrap();
        assert_eq!((report.rejected, report.events, report.already, report.changed), (4, events, already, 0));
        let places: Vec<_> = bench.records().into_iter().filter(|(_, text)| text.contains(' ')).collect();
        let mut lines: Vec<_> = places.iter().map(|(source, _)| source.clone()).collect();
        lines.sort();
        lines.dedup();
        assert_eq!((places.len(), lines.len()), (10, 10), "each row once");
    }
    let mut redriven = 0;
    for partition in 0..2 {
        let mut reader = bench.log.reader("events", PartitionId(partition), Offset::ZERO).unwrap();
        let mut records = RecordBuf::default();
        while reader.read(&mut records, 1 << 20).unwrap() > 0 {}
        for record in records.iter().filter(|r| r.header(headers::REDRIVEN).is_some()) {
            assert!(record.header(headers::FROM).unwrap().starts_with(b"events-"));
            assert_eq!(partition_log::partition_for(record.key, 2), PartitionId(partition));
            redriven += 1;
        }
    }
    assert_eq!(redriven, 4);
    // An import that goes on is not confused by what was mended, which stands behind its last.
    std::fs::OpenOptions::new()
        .append(true)
        .open(&file)
        .and_then(|mut f| writeln!(f, "u1,{},play,1", T0 + 100))
        .unwrap();
    let again = bench.import(MAP, std::slice::from_ref(&file)).unwrap();
    assert_eq!((again.rows, again.held), (11, 10));
    assert_eq!(bench.records().len(), 15);
}

#[test]
fn killed_anywhere_mending_loses_and_repeats_nothing() {
    for first in 0..20 {
        let bench = Bench::new();
        let (file, map) = broken(&bench);
        bench.import(MAP, std::slice::from_ref(&file)).unwrap();
        let log = partition_log::conformance::Mortal::new(std::sync::Arc::new(bench.log.clone()));
        for operations in [first, first / 2] {
            log.live_for(operations);
            let _ = mended(&log, &bench, &map, &file);
        }
        log.live_for(u64::MAX);
        let report = mended(&log, &bench, &map, &file).unwrap();
        assert_eq!(report.events + report.already, 4, "{first}");
        assert_eq!(bench.records().len(), 14, "{first}");
    }
}

#[test]
fn rows_that_are_not_what_was_rejected_are_left_alone() {
    let bench = Bench::new();
    let (file, map) = broken(&bench);
    bench.import(MAP, std::slice::from_ref(&file)).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    // A line more at the top: every row is on the line of another.
    bench.file("a.csv", text.replacen("u0,", "u9,1,play,1\nu0,", 1).as_bytes());
    let report = mended(&bench.log, &bench, &map, &file).unwrap();
    assert_eq!((report.events, report.changed), (0, 4));
    assert_eq!(bench.records().len(), 10);
    let other = bench.file("b.csv", text.as_bytes());
    let error = mended(&bench.log, &bench, &map, &other).unwrap_err().to_string();
    assert!(error.contains("b.csv`, but of `") && error.contains("a.csv`"), "{error}");
}

#[test]
fn rows_of_an_encoding_that_the_map_did_not_name_come_in_when_it_does() {
    let bench = Bench::new();
    let file =
        bench.file("a.csv", b"user,at,what,n\nZo\xeb,1700000000000,play,1\nann,1700000000000,play,1\n");
    let first = bench.import(MAP, std::slice::from_ref(&file)).unwrap();
    assert_eq!((first.events, first.rejected.get("invalid_utf8")), (1, Some(&1)));
    let report = mended(&bench.log, &bench, &format!("encoding = \"latin-1\"{MAP}"), &file).unwrap();
    assert_eq!((report.rejected, report.events, report.changed), (1, 1, 0));
    assert!(bench.records().iter().any(|(_, text)| text == "Zoë play 1700000000000"));
}

#[test]
fn a_row_of_utf_16_is_known_by_its_bytes() {
    let wide = |text: &str| -> Vec<u8> {
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect()
    };
    let bench = Bench::new();
    let text = "user,at,what,n\nZoë,1700000000000,play,many\nZoë,1700000000000,play,few\n";
    let file = bench.file("a.csv", &wide(text));
    let first = bench.import(MAP, std::slice::from_ref(&file)).unwrap();
    assert_eq!(first.rejected_rows(), 2);
    bench.file("a.csv", &wide(&text.replace("few", "none")));
    let map = MAP.replace("kind = \"number\"", "kind = \"text\"");
    let report = mended(&bench.log, &bench, &map, &file).unwrap();
    assert_eq!((report.rejected, report.events, report.changed), (2, 1, 1));
}
