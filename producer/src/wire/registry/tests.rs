use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// What a registry that is in trouble says, one answer a request; what it was asked for is kept. One that is well is in the consumer's tests.
fn answering(
    answers: Vec<(&'static str, &'static str)>,
) -> (String, Arc<Mutex<Vec<String>>>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (heads, count) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
    let (kept, counted) = (Arc::clone(&heads), Arc::clone(&count));
    std::thread::spawn(move || {
        for (status, body) in answers {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let mut head = String::new();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            while lines.read_line(&mut head).unwrap() > 2 {}
            kept.lock().unwrap().push(head);
            counted.fetch_add(1, Ordering::Relaxed);
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            )
            .unwrap();
        }
    });
    (url, heads, count)
}

fn registry(url: &str, metrics: &Metrics) -> Registry {
    let mut access = Access::new(url).unwrap();
    access.authorization = Some("Bearer secret".into());
    Registry::new(access, Some(metrics)).unwrap()
}

/// Asks until it is answered.
fn wait(registry: &Registry, id: u32) -> SchemaResult {
    let begun = Instant::now();
    loop {
        match registry.schema(id) {
            Ok(result) => return result,
            Err(why) => assert!(begun.elapsed() < Duration::from_secs(20), "{why}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn trouble_is_waited_for_and_only_an_unknown_number_is_bad() {
    let unknown = r#"{"error_code":40403,"message":"Schema not found"}"#;
    let (url, heads, count) = answering(vec![
        ("503 Service Unavailable", ""),
        ("401 Unauthorized", r#"{"error_code":401,"message":"Unauthorized"}"#),
        // A wrong address is not a schema that nobody knows.
        ("404 Not Found", "<html>"),
        ("200 OK", "<html>"),
        ("200 OK", r#"{"schema":"\"long\""}"#),
        ("404 Not Found", unknown),
    ]);
    let metrics = Metrics::new("1");
    let registry = registry(&url, &metrics);
    let said = registry.schema(7).unwrap_err();
    assert!(said.contains("503") && said.contains(&url) && !said.contains("secret"), "{said}");
    // It is left alone for a while.
    assert_eq!(registry.schema(7).unwrap_err(), said);
    assert_eq!(count.load(Ordering::Relaxed), 1);
    assert!(metrics.render().contains("churn_schema_registry_down 1"));
    assert_eq!(wait(&registry, 7).unwrap().kind(), "Avro");
    assert_eq!(wait(&registry, 8).unwrap_err().reason, RejectReason::UnknownSchema);
    // Both are known now: nobody is there to ask.
    assert_eq!(registry.schema(7).unwrap().unwrap().kind(), "Avro");
    assert!(registry.schema(8).unwrap().is_err());
    assert!(registry.schema(9).is_err());
    let heads = heads.lock().unwrap();
    assert!(heads[0].starts_with("GET /schemas/ids/7 ") && heads[5].starts_with("GET /schemas/ids/8 "));
    assert!(heads[0].to_lowercase().contains("authorization: bearer secret"));
    let shown = metrics.render();
    for line in [
        r#"churn_schema_requests_total{outcome="answered"} 1"#,
        r#"churn_schema_requests_total{outcome="unknown"} 1"#,
        r#"churn_schema_requests_total{outcome="failed"} 5"#,
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
}

#[test]
fn a_schema_that_cannot_be_used_is_bad_for_good() {
    let (url, ..) = answering(vec![
        ("200 OK", r#"{"schema":"{","schemaType":"AVRO"}"#),
        ("200 OK", r#"{"schema":"\"a.B\"","references":[{"name":"a.B","subject":"a/B","version":3}]}"#),
        ("404 Not Found", r#"{"error_code":40402,"message":"Version not found."}"#),
    ]);
    let registry = registry(&url, &Metrics::new("1"));
    assert_eq!(registry.schema(1).unwrap().unwrap_err().reason, RejectReason::UnknownSchema);
    let why = registry.schema(2).unwrap().unwrap_err().detail;
    assert!(why.contains("version 3 of `a/B`"), "{why}");
    assert!(registry.schema(1).unwrap().is_err());
}
