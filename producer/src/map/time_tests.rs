use super::*;

fn read(format: &str, zone: Option<&str>, text: &str) -> Result<i64, TimeError> {
    TimeReader::new(format, zone).unwrap().read(&Cell::Text(text.into())).map(|t| t.0)
}

#[test]
fn formats_read_what_they_name() {
    let cases = [
        ("ms", None, "1538352020000", 1_538_352_020_000),
        ("s", None, "1538352020", 1_538_352_020_000),
        ("s", None, "1538352020.1239", 1_538_352_020_123),
        ("s", None, "-1.5", -1_500),
        ("us", None, "1538405774195002", 1_538_405_774_195),
        ("ns", None, "1538405774195002000", 1_538_405_774_195),
        ("rfc3339", None, "2018-10-01T02:00:20+02:00", 1_538_352_020_000),
        ("iso", Some("UTC"), "2018-10-01 00:00:20.25", 1_538_352_020_250),
        ("iso", Some("UTC"), "2018-10-01T00:00:20Z", 1_538_352_020_000),
        ("date", Some("UTC"), "2018-10-01", 1_538_352_000_000),
        ("date", Some("+02:00"), "2018-10-01", 1_538_344_800_000),
        ("%Y%m%d", Some("UTC"), "20181001", 1_538_352_000_000),
        ("%Y%m%d", Some("UTC"), "20181001.0", 1_538_352_000_000),
        ("%d.%m.%Y %H:%M", Some("UTC"), "01.10.2018 00:01", 1_538_352_060_000),
        ("%m/%d/%Y %I:%M:%S %p", Some("UTC"), "10/01/2018 12:00:20 AM", 1_538_352_020_000),
        ("%d/%b/%Y:%H:%M:%S %z", None, "01/Oct/2018:02:00:20 +0200", 1_538_352_020_000),
        // Summer time, winter time, an hour that comes twice, and one that is left out.
        ("iso", Some("Europe/Berlin"), "2018-10-01T02:00:20", 1_538_352_020_000),
        ("iso", Some("Europe/Berlin"), "2018-12-01T01:00:00", 1_543_622_400_000),
        ("iso", Some("Europe/Berlin"), "2018-10-28T02:30:00", 1_540_686_600_000),
        ("iso", Some("Europe/Berlin"), "2018-03-25T02:30:00", 1_521_941_400_000),
    ];
    for (format, zone, text, expected) in cases {
        assert_eq!(read(format, zone, text), Ok(expected), "{format} {text}");
    }
}

#[test]
fn counts_begin_where_the_map_says() {
    let read = |format: &str, since: Option<&str>, zone: Option<&str>, cell: Cell<'_>| {
        TimeReader::counted(format, since, zone).unwrap().read(&cell).map(|t| t.0)
    };
    let text = |text: &'static str| Cell::Text(text.into());
    let (utc, berlin) = (Some("UTC"), Some("Europe/Berlin"));
    let day = 86_400_000;
    for (format, since, zone, cell, expected) in [
        ("days", Some("2017-01-01"), utc, text("132"), 1_483_228_800_000 + 132 * day),
        ("days", Some("2017-01-01"), utc, Cell::Int(0), 1_483_228_800_000),
        ("days", Some("2017-01-01T00:00:00Z"), None, Cell::Float(0.5), 1_483_228_800_000 + day / 2),
        // A spreadsheet's 2015-01-01 08:30.
        ("days", Some("1899-12-30"), utc, text("42005.3541666667"), 1_420_101_000_000),
        ("days", Some("1899-12-30"), utc, Cell::Float(42_005.354_166_666_7), 1_420_101_000_000),
        ("days", None, utc, text("17805"), 1_538_352_000_000),
        // Noon stays noon where summer time has come; hours are hours that passed.
        ("days", Some("2018-03-24T12:00"), berlin, text("1"), 1_521_972_000_000),
        ("hours", Some("2018-03-24T12:00"), berlin, text("24"), 1_521_975_600_000),
        ("minutes", Some("2018-10-01"), Some("+02:00"), text("90"), 1_538_344_800_000 + 90 * 60_000),
        ("s", Some("2018-10-01T00:00:00Z"), None, text("20.5"), 1_538_352_020_500),
        ("ms", Some("2018-10-01T02:00:00+02:00"), None, Cell::Int(20), 1_538_352_000_020),
    ] {
        assert_eq!(read(format, since, zone, cell.clone()), Ok(expected), "{format} {since:?} {cell:?}");
    }
    assert!(matches!(read("days", None, utc, text("9999999999")), Err(TimeError::OutOfRange(_))));
    assert!(matches!(read("days", None, utc, text("12/1")), Err(TimeError::Unreadable(_))));
    let error = |format: &str, since: &str, zone| TimeReader::counted(format, Some(since), zone).unwrap_err();
    assert!(matches!(error("days", "2017-01-01", None), TimeFormatError::NaiveWithoutZone(_)));
    assert!(matches!(error("days", "2017-01-01T00:00Z", utc), TimeFormatError::ZoneWithoutUse(_)));
    assert!(matches!(error("s", "yesterday", utc), TimeFormatError::BadSince(_)));
    assert!(matches!(error("iso", "2017-01-01", utc), TimeFormatError::SinceWithoutUse(_)));
    assert!(matches!(TimeReader::new("days", None), Err(TimeFormatError::NaiveWithoutZone(_))));
    let comma = TimeReader::counted("days", Some("1899-12-30"), utc).unwrap().with_decimal(b',');
    assert_eq!(comma.read(&text("42005,5")).unwrap().0, 1_420_113_600_000);
}

#[test]
fn a_naive_time_needs_a_zone_and_an_instant_none() {
    for format in ["iso", "date", "%Y-%m-%d"] {
        let error = TimeReader::new(format, None).unwrap_err();
        assert_eq!(error, TimeFormatError::NaiveWithoutZone(format.to_owned()));
    }
    assert!(matches!(TimeReader::new("ms", Some("UTC")), Err(TimeFormatError::ZoneWithoutUse(_))));
    assert!(matches!(TimeReader::new("iso", Some("Mars/Base")), Err(TimeFormatError::UnknownZone(_))));
    assert!(matches!(TimeReader::new("epoch", None), Err(TimeFormatError::UnknownFormat(_))));
    assert!(matches!(read("rfc3339", None, "2018-10-01T00:00:00"), Err(TimeError::Unreadable(_))));
}

#[test]
fn what_is_no_time_is_refused() {
    for text in [
        "2018-13-01",
        "2018-02-29",
        "2018-10-01T24:00",
        "2018-10-01x",
        "01.10.2018",
        "2018-1-1",
        "2018-10-01T10:00+1",
    ] {
        assert!(matches!(read("iso", Some("UTC"), text), Err(TimeError::Unreadable(_))), "{text}");
    }
    for text in ["1e9", "12a", "0x10", "1.2.3", "NaN", "99999999999999999999"] {
        assert!(matches!(read("s", None, text), Err(TimeError::Unreadable(_))), "{text}");
    }
    assert_eq!(read("ms", None, ""), Err(TimeError::Missing));
    assert!(matches!(read("s", None, "1538352020000"), Err(TimeError::OutOfRange(_))));
    assert!(matches!(read("ms", None, &i64::MIN.to_string()), Err(TimeError::OutOfRange(_))));
}

proptest::proptest! {
    #[test]
    fn iso_agrees_with_the_calendar_library(ms in -62_135_596_800_000_i64..253_402_300_800_000, minutes in -720_i32..720) {
        let instant = jiff::Timestamp::from_millisecond(ms).unwrap();
        let offset = jiff::tz::Offset::from_seconds(minutes * 60).unwrap();
        proptest::prop_assert_eq!(read("rfc3339", None, &instant.to_string()), Ok(ms));
        let wall = offset.to_datetime(instant);
        if (1..=9999).contains(&wall.year()) {
            let written = format!("{wall}{offset}");
            proptest::prop_assert_eq!(read("iso", Some("UTC"), &written), Ok(ms), "{}", written);
            let pattern = read("%Y-%m-%dT%H:%M:%S%.f", Some("UTC"), &wall.to_string());
            proptest::prop_assert_eq!(pattern, read("iso", Some("UTC"), &wall.to_string()));
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,40}", digits in "[0-9TZ:. +-]{0,40}") {
        for format in ["iso", "%Y-%m-%d %H:%M:%S"] {
            for text in [&text, &digits] {
                let _ = read(format, Some("America/New_York"), text);
            }
        }
        let _ = read("s", None, &digits);
    }
}
