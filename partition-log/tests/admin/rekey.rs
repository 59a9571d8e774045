//! Another key for the same events: order, ticks, what has no such key, who was forgotten.

use partition_log::admin::repartition_by;
use types::Event;

use super::*;

fn event(user: &str, ts: i64, fields: &str) -> String {
    format!(
        r#"{{"v":1,"id":"e{ts}","entity_type":"user","entity":"{user}","type":"play","ts":{ts},"fields":{{{fields}}}}}"#
    )
}

/// Users of three accounts over five days, with a tick in every partition before each.
fn users(log: &dyn Log, days: i64) {
    log.create_topic("events", &config(3)).unwrap();
    let mut topic = log.writer("events").unwrap();
    let mut writers: Vec<_> = (0..3).map(|p| topic.partition(PartitionId(p)).unwrap()).collect();
    for day in 0..days {
        for writer in &mut writers {
            writer.append(EventTime(day * 86_400_000), b"", &tick(day), &[]).unwrap();
        }
        for n in 0..30_i64 {
            let (ts, user) = (day * 86_400_000 + n, format!("user-{}", n % 11));
            // 0.1 + 0.2 has a long form, and lists are no value of features.
            let fields = format!(
                r#""n":{n},"account":"acme {}","sum":0.30000000000000004,"tags":["a",{{"b":1}}]"#,
                n % 3
            );
            let source = format!("sim:{ts}");
            let headers = [(headers::SOURCE, source.as_bytes()), (headers::CHAIN, b"f01234567".as_slice())];
            let partition = partition_for(user.as_bytes(), 3).0 as usize;
            let value = event(&user, ts, &fields);
            writers[partition].append(EventTime(ts), user.as_bytes(), value.as_bytes(), &headers).unwrap();
        }
    }
    writers.iter_mut().for_each(|writer| writer.sync().unwrap());
}

fn add(log: &dyn Log, user: &str, ts: i64, value: &str) {
    let partition = partition_for(user.as_bytes(), 3);
    let mut writer = log.writer("events").unwrap().partition(partition).unwrap();
    writer.append(EventTime(ts), user.as_bytes(), value.as_bytes(), &[(headers::SOURCE, b"sim:1")]).unwrap();
    writer.sync().unwrap();
}

#[test]
fn events_of_users_become_events_of_their_accounts() {
    let log = MemoryLog::new();
    users(&log, 5);
    let report = repartition_by((&log, "events"), (&log, "accounts"), 2, "account").unwrap();
    assert_eq!((report.records, report.ticks, report.rejected, report.erased), (150, 5, 0, 0));
    assert_eq!(report.key, "account");
    let found = log.topic("accounts").unwrap().unwrap();
    assert_eq!((found.key.as_str(), found.partitions), ("account", 2));
    let mut seen = BTreeMap::<String, Vec<(i64, i64)>>::new();
    for partition in 0..2 {
        let mut ticks = 0;
        for row in rows(&log, "accounts", partition) {
            if row.2.is_empty() {
                assert_eq!(row.3, tick(ticks), "ticks come once and in order");
                ticks += 1;
                continue;
            }
            assert_eq!(partition_for(&row.2, 2), PartitionId(partition));
            let text = std::str::from_utf8(&row.3).unwrap();
            let mut event = Event::default();
            event.decode(text.as_bytes()).unwrap();
            assert_eq!((&*event.entity_type, event.entity.as_bytes()), ("account", &*row.2));
            assert_eq!((event.ts.0, event.id.as_deref()), (row.1, Some(&*format!("e{}", row.1))));
            assert_eq!(event.ts.0 / 86_400_000, ticks - 1, "between the same ticks");
            let n = row.1 % 86_400_000;
            let fields = format!(
                r#""fields":{{"n":{n},"account":"acme {}","sum":0.30000000000000004,"tags":["a",{{"b":1}}],"user":"user-{}"}}}}"#,
                n % 3,
                n % 11
            );
            assert!(text.ends_with(&fields), "{text}");
            seen.entry(event.entity.to_string()).or_default().push((ticks, row.1));
        }
        assert_eq!(ticks, 5);
    }
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["acme 0", "acme 1", "acme 2"]);
    assert!(seen.values().all(|times| times.len() == 50 && times.is_sorted()), "in order of time");
}

#[test]
fn what_has_no_such_key_goes_on_with_a_reason_and_who_was_forgotten_does_not() {
    let log = MemoryLog::new();
    users(&log, 1);
    let bad = [
        (event("user-1", 500, r#""n":1"#), "missing_field"),
        (event("user-1", 501, r#""account":"""#), "missing_field"),
        (event("user-1", 502, r#""account":7"#), "wrong_type"),
        (event("user-2", 503, r#""account":"acme 1""#), "key_mismatch"),
        ("no event".to_owned(), "invalid_json"),
    ];
    for (n, (value, _)) in bad.iter().enumerate() {
        add(&log, "user-1", 500 + n as i64, value);
    }
    // A field named so already stays, and the user is not told again.
    add(&log, "user-1", 600, &event("user-1", 600, r#""account":"acme 9","user":"x""#));
    // The fourth user is forgotten, and comes back.
    add(&log, "user-4", 700, r#"{"v":1,"entity_type":"user","entity":"user-4","type":"$erase","ts":700}"#);
    add(&log, "user-4", 800, &event("user-4", 800, r#""account":"acme 9""#));

    let report = repartition_by((&log, "events"), (&log, "accounts"), 3, "account").unwrap();
    // 30 events, of which user-4 had three; five that have no key, and two more.
    assert_eq!((report.records, report.rejected, report.erased), (27 + 5 + 2, 5, 4));
    let mut rejected = BTreeMap::new();
    let mut nine = Vec::new();
    for row in (0..3).flat_map(|partition| rows(&log, "accounts", partition)) {
        let header =
            |name: &str| row.4.iter().find(|(n, _)| n == name.as_bytes()).map(|(_, value)| value.clone());
        let text = String::from_utf8(row.3.clone()).unwrap();
        if let Some(reason) = header(headers::REASON) {
            assert!(row.2.is_empty() && header(headers::SOURCE).is_none());
            assert!(!header(headers::DETAIL).unwrap().is_empty());
            rejected.insert(text, String::from_utf8(reason).unwrap());
        } else if row.2 == b"acme 9" {
            nine.push(text);
        } else {
            assert!(!text.contains("user-4"), "{text}");
        }
    }
    assert_eq!(rejected, bad.map(|(value, reason)| (value, reason.to_owned())).into());
    assert_eq!(nine.len(), 2);
    assert!(
        nine.iter().any(|text| text.ends_with(r#""fields":{"account":"acme 9","user":"x"}}"#)),
        "{nine:?}"
    );
    assert!(
        nine.iter().any(|text| text.ends_with(r#""fields":{"account":"acme 9","user":"user-4"}}"#)),
        "{nine:?}"
    );

    for (topic, key, word) in [
        ("events", "user", "keyed by `user` already"),
        ("events", "", "already"),
        ("theirs", "account", "no key of ours"),
    ] {
        log.create_topic("theirs", &TopicConfig { key: String::new(), ..config(1) }).unwrap();
        let error = repartition_by((&log, topic), (&log, "x"), 2, key).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
        assert_eq!(log.topic("x").unwrap(), None, "nothing was made");
    }
}
