//! A real Prometheus reads a consumer at work and answers every query of the dashboards.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser as _;
use consumer::{Surroundings, Workers};
use partition_log::{Log, MemoryLog};
use serde_json::Value;
use support::stream::{Appender, Shape};
use support::{World, stream};

const PARTITIONS: u32 = 2;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Prometheus, reading a consumer and a producer twice a second. It ends with this.
struct Prometheus {
    child: Child,
    address: String,
    _dir: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// None, and a line that says so, where there is none; in continuous integration that is a failure.
    fn start(consumer: &str, producer: &str) -> Option<Self> {
        let ours = root().join(".tools/prometheus/prometheus");
        let program = if ours.exists() { ours } else { PathBuf::from("prometheus") };
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("prometheus.yml");
        // The configuration that is shipped, at another address and in more of a hurry.
        let shipped =
            std::fs::read_to_string(root().join("dashboards/grafana/prometheus/prometheus.yml")).unwrap();
        for part in ["- 127.0.0.1:9464", "- 127.0.0.1:9465", "scrape_interval: 5s"] {
            assert!(shipped.contains(part), "{part}");
        }
        let hurried = shipped
            .replace("- 127.0.0.1:9464", &format!("- {consumer}"))
            .replace("- 127.0.0.1:9465", &format!("- {producer}"))
            .replace("scrape_interval: 5s", "scrape_interval: 500ms")
            .replace("scrape_timeout: 4s", "scrape_timeout: 500ms");
        std::fs::write(&config, hurried).unwrap();
        let child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(why) => {
                assert!(
                    std::env::var("CI").as_deref() != Ok("true"),
                    "there is no Prometheus to test with: {why}"
                );
                partition_log::conformance::broker::skipped(&format!(
                    "there is no Prometheus to test with: {why}"
                ));
                return None;
            }
        };
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("it does not start").unwrap();
            if let Some((_, address)) = line.split_once("msg=\"Listening on\" address=") {
                break address.trim().to_owned();
            }
        };
        // What it says further is read, so that it is never held up.
        std::thread::spawn(move || lines.for_each(drop));
        let prometheus = Self { child, address, _dir: dir };
        // It listens before it answers.
        let deadline = Instant::now() + Duration::from_secs(60);
        while ureq::get(format!("http://{}/-/ready", prometheus.address)).call().is_err() {
            assert!(Instant::now() < deadline, "it does not become ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(prometheus)
    }

    /// How many series a query finds that have a number. A query that is not answered finds none.
    fn ask(&self, query: &str) -> usize {
        let asked = ureq::get(format!("http://{}/api/v1/query", self.address)).query("query", query).call();
        let mut answer = match asked {
            Ok(answer) => answer,
            Err(why) => {
                println!("{query}: {why}");
                return 0;
            }
        };
        let answer: Value = answer.body_mut().read_json().unwrap();
        let number =
            |series: &&Value| series["value"][1].as_str().unwrap().parse::<f64>().unwrap().is_finite();
        answer["data"]["result"].as_array().unwrap().iter().filter(number).count()
    }
}

/// The queries of a dashboard's panels, as Grafana would ask them of all topics.
fn queries(file: &str) -> BTreeSet<String> {
    let path = root().join("dashboards/grafana/dashboards").join(file);
    let dashboard: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    targets
        .map(|target| {
            let query = target["expr"].as_str().unwrap();
            query.replace("$__rate_interval", "5s").replace("$topic", ".*")
        })
        .collect()
}

/// A producer at work on a log of its own, until it is told to stop.
fn simulate(around: &producer::Surroundings) {
    let arguments = "producer simulate --users 1000 --days 3650 --rate 300 --to file:unused";
    let cli = producer::cli::Cli::try_parse_from(arguments.split(' ')).unwrap();
    let producer::cli::Command::Simulate(simulate) = cli.command else {
        panic!("no simulation: {arguments}")
    };
    let log = MemoryLog::new();
    producer::simulate::write(&log, simulate.setting(), &simulate.output, None, around).unwrap();
}

#[test]
fn every_panel_shows_something_of_a_consumer_and_a_producer_at_work() {
    let world = World::new(support::seed());
    let log = MemoryLog::new();
    stream::create(&log, PARTITIONS);
    let shape = Shape { users: 1_200, days: 14, empty: (9, 10) };
    let records = stream::make(support::seed(), shape);
    let mut appender = Appender::new(&log);
    drop(world.registry("registry"));
    let mut options = world.options("store", "registry");
    options.until_end = false;
    options.http = Some("127.0.0.1:0".parse().unwrap());
    let money = world.dir().join("money.toml");
    std::fs::write(&money, "currency = \"USD\"\n[[prices]]\nprice = 10\n").unwrap();
    options.prices = Some(money);
    options.workers = Workers::Auto { min: 1, max: 2 };
    options.scaling.lag_up = 500;
    options.scaling.cooldown = Duration::from_millis(500);
    options.scaling.every = Duration::from_millis(50);
    let around = Surroundings::new();
    let log: Arc<dyn Log> = Arc::new(log);
    let run = {
        let (options, log, around) = (options.clone(), Arc::clone(&log), around.clone());
        std::thread::spawn(move || consumer::run(&options, &log, &around))
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    let address = loop {
        if let Some(address) = consumer::address_of(&options.store) {
            break address;
        }
        assert!(Instant::now() < deadline && !run.is_finished(), "it does not start");
        std::thread::sleep(Duration::from_millis(10));
    };
    let producing = producer::Surroundings::default();
    let pages = producing.serve("127.0.0.1:0".parse().unwrap()).unwrap();
    let produced = pages.address().to_string();
    let Some(prometheus) = Prometheus::start(address.strip_prefix("http://").unwrap(), &produced) else {
        around.shutdown.request("there is nothing to test with");
        run.join().unwrap().unwrap();
        return;
    };

    let mut waiting: BTreeMap<String, &str> = BTreeMap::new();
    for file in ["lag-and-throughput.json", "risk-and-drift.json"] {
        waiting.extend(queries(file).into_iter().map(|query| (query, file)));
    }
    // Nobody knows outcomes here: this is what `churnstream drift --labels` adds.
    let realised = "min(churn_model_quality_ratio{metric=\"auc\", kind=\"realised\"})";
    assert!(waiting.remove(realised).is_some());
    assert!(waiting.len() > 25, "{waiting:?}");

    let simulation = {
        let around = producing.clone();
        std::thread::spawn(move || simulate(&around))
    };
    let deadline = Instant::now() + Duration::from_secs(180);
    // Events keep coming until everything was seen, or long after the last of them.
    let mut slices = records.chunks(records.len() / 40 + 1);
    while !waiting.is_empty() && Instant::now() < deadline && !run.is_finished() {
        match slices.next() {
            Some(slice) => appender.append(slice),
            // How long a score takes is measured where events come as they happen.
            None => appender.append(&[stream::plain("u00001", "play", stream::now())]),
        }
        std::thread::sleep(Duration::from_millis(200));
        waiting.retain(|query, _| prometheus.ask(query) == 0);
    }
    around.shutdown.request("the test is over");
    producing.shutdown.request("the test is over");
    run.join().unwrap().unwrap();
    simulation.join().unwrap();
    assert!(waiting.is_empty(), "no answer to {waiting:#?}");
    assert_eq!(prometheus.ask(realised), 0);
}
