//! What is told to MLflow, by a real server where there is one: `CHURNSTREAM_MLFLOW` names its program, else it is looked for in
//! `.tools/mlflow` (`scripts/setup mlflow` puts it there) and among the programs.

#![allow(clippy::unwrap_used)] // Helpers of a test.

mod small;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use scorer::Bundle;
use serde_json::Value;

fn churnstream(dir: &Path, uri: &str, arguments: &[&str]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_churnstream"))
        .current_dir(dir)
        .env("MLFLOW_TRACKING_URI", uri)
        .env_remove("MLFLOW_EXPERIMENT_NAME")
        .env_remove("MLFLOW_TRACKING_TOKEN")
        .env_remove("MLFLOW_TRACKING_USERNAME")
        .env_remove("MLFLOW_TRACKING_PASSWORD")
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

fn train(dir: &Path, uri: &str, log: &str, to: &str) -> String {
    let arguments =
        ["train", "--from", log, "--features", "spec.toml", "--labels", "labels.toml", "--to", to];
    let more = ["--algorithm", "logistic", "--no-baselines"];
    let all: Vec<&str> = arguments.into_iter().chain(more).collect();
    let (output, said) = churnstream(dir, uri, &all);
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn a_server_that_is_not_there_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = small::write(dir.path());
    // Nobody listens where somebody just did.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = train(dir.path(), &format!("http://{address}"), &log, "model");
    assert!(said.contains("which changes nothing here"), "{said}");
    Bundle::load(&dir.path().join("model")).unwrap();
}

/// What a program says first to a server at an address of this scheme.
fn said_first(dir: &Path, scheme: &str) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("{scheme}://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut said = vec![0; 4_096];
        let length = stream.read(&mut said).unwrap();
        said.truncate(length);
        said
    });
    let output = Command::new(env!("CARGO_BIN_EXE_churnstream"))
        .current_dir(dir)
        .env("MLFLOW_TRACKING_URI", uri)
        .env("MLFLOW_TRACKING_USERNAME", "ann")
        .env("MLFLOW_TRACKING_PASSWORD", "s3cret:")
        .env_remove("MLFLOW_TRACKING_TOKEN")
        .args([
            "models",
            "promote",
            "model",
            "--skip",
            "calibration",
            "--registry",
            &format!("registry-{scheme}"),
        ])
        .output()
        .unwrap();
    // It hung up on them, which stops nothing.
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("which changes nothing here"), "{said}");
    server.join().unwrap()
}

#[test]
fn it_says_who_asks_and_speaks_tls() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = small::bundle(dir.path(), "model", [1.0, -3.0], 30);
    bundle.attach_spec(small::SPEC).unwrap();
    let plain = String::from_utf8(said_first(dir.path(), "http")).unwrap().to_lowercase();
    // `ann:s3cret:` in base64.
    assert!(plain.contains("authorization: basic yw5uonmzy3jlddo=\r\n"), "{plain}");
    // A handshake of TLS 1.x, as RFC 8446 begins it, with nothing of the password.
    let hello = said_first(dir.path(), "https");
    assert_eq!(hello[..2], [0x16, 3], "{hello:?}");
}

/// A server of its own for a test; ended with all its processes.
struct Server {
    child: Child,
    uri: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        _ = self.child.wait();
    }
}

fn program() -> Option<PathBuf> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/mlflow/bin/mlflow");
    let named = std::env::var_os("CHURNSTREAM_MLFLOW").map(PathBuf::from);
    let places = named.into_iter().chain([ours, PathBuf::from("mlflow")]);
    places.into_iter().find(|program| {
        let mut version = Command::new(program);
        version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    })
}

fn server(program: &Path, dir: &Path) -> Server {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let log = std::fs::File::create(dir.join("server.log")).unwrap();
    let child = Command::new(program)
        .current_dir(dir)
        .args(["server", "--host", "127.0.0.1", "--workers", "1", "--port", &address.port().to_string()])
        .args(["--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "./artifacts"])
        .env("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .process_group(0)
        .spawn()
        .unwrap();
    let server = Server { child, uri: format!("http://{address}") };
    let begun = Instant::now();
    while ureq::get(&format!("{}/health", server.uri)).call().is_err() {
        let said = std::fs::read_to_string(dir.join("server.log")).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(180), "it does not start: {said}");
        std::thread::sleep(Duration::from_millis(200));
    }
    server
}

impl Server {
    fn get(&self, what: &str) -> Value {
        let uri = format!("{}/api/2.0/mlflow/{what}", self.uri);
        ureq::get(&uri).call().unwrap().body_mut().read_json().unwrap()
    }
}

#[test]
fn runs_metrics_bundles_and_aliases_are_told() {
    let Some(program) = program() else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "there is no mlflow to test with");
        // Past what the test's runner captures: a test that passes would show nothing.
        let said = "SKIPPED: runs_metrics_bundles_and_aliases_are_told (no mlflow here; `scripts/setup mlflow` installs it into .tools)\n";
        std::io::stderr().write_all(said.as_bytes()).unwrap();
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let log = small::write(dir);
    let server = server(&program, dir);
    let said = train(dir, &server.uri, &log, "model");
    assert!(said.contains("mlflow: run "), "{said}");
    let bundle = Bundle::load(&dir.join("model")).unwrap();
    let (output, said) =
        churnstream(dir, &server.uri, &["models", "promote", "model", "--registry", "registry"]);
    assert!(output.status.success() && said.contains("mlflow: version 1 is champion"), "{said}");

    let alias = server.get("registered-models/alias?name=churnstream&alias=champion");
    let version = &alias["model_version"];
    assert_eq!(version["version"], "1");
    let tag = |tags: &Value| {
        let tags = tags.as_array().unwrap().iter();
        tags.filter(|tag| tag["key"] == "churnstream.bundle").map(|tag| tag["value"].clone()).next()
    };
    assert_eq!(tag(&version["tags"]), Some(Value::from(bundle.hash())));
    let run = version["run_id"].as_str().unwrap();
    let told = server.get(&format!("runs/get?run_id={run}"));
    assert_eq!(told["run"]["info"]["status"], "FINISHED");
    let data = &told["run"]["data"];
    assert_eq!(tag(&data["tags"]), Some(Value::from(bundle.hash())));
    let metrics = data["metrics"].as_array().unwrap();
    assert_eq!(metrics.len(), bundle.manifest().metrics.len());
    for metric in metrics {
        let ours = bundle.manifest().metrics[metric["key"].as_str().unwrap()];
        assert!((metric["value"].as_f64().unwrap() - ours).abs() < 1e-12, "{metric} {ours}");
    }
    let params = data["params"].as_array().unwrap();
    assert!(params.iter().any(|param| param["key"] == "algorithm" && param["value"] == "logistic"));
    for file in ["bundle.toml", "model.json", "MODEL_CARD.md", "spec.toml"] {
        let uri = format!("{}/get-artifact?path=bundle/{file}&run_uuid={run}", server.uri);
        let bytes = ureq::get(&uri).call().unwrap().body_mut().read_to_vec().unwrap();
        assert_eq!(bytes, std::fs::read(bundle.path().join(file)).unwrap(), "{file}");
    }

    // A table's model, with what it was fitted with.
    let table = (0..400).fold("usage,left\n".to_owned(), |table, row| {
        table + &format!("{},{}\n", row % 20, if (row * 7 + row / 20) % 20 < row % 20 { "no" } else { "yes" })
    });
    std::fs::write(dir.join("table.csv"), table).unwrap();
    std::fs::write(dir.join("params.toml"), "max_depth = 2\nmonotone = { usage = \"falling\" }\n").unwrap();
    let of_table = ["train", "--table", "table.csv", "--label", "left", "--to", "of-table", "--no-baselines"];
    let of_table: Vec<&str> = of_table.into_iter().chain(["--params", "params.toml"]).collect();
    let (output, said) = churnstream(dir, &server.uri, &of_table);
    assert!(output.status.success(), "{said}");
    let run = said.split("mlflow: run ").nth(1).unwrap().split(' ').next().unwrap();
    let told = server.get(&format!("runs/get?run_id={run}"));
    let params = told["run"]["data"]["params"].as_array().unwrap();
    for (name, value) in [("algorithm", "xgboost"), ("max_depth", "2"), ("monotone.usage", "falling")] {
        assert!(
            params.iter().any(|param| param["key"] == name && param["value"] == value),
            "{name}: {params:?}"
        );
    }

    // A bundle that was trained while nobody was told: told when it is promoted.
    train(dir, "", &log.clone(), "silent");
    let silent = Bundle::load(&dir.join("silent")).unwrap();
    assert_eq!(silent.hash(), bundle.hash(), "the same training is the same bundle");
    let again =
        ["train", "--from", &log, "--features", "spec.toml", "--labels", "labels.toml", "--to", "other"];
    let other: Vec<&str> =
        again.into_iter().chain(["--algorithm", "logistic", "--no-baselines", "--refit"]).collect();
    let (output, said) = churnstream(dir, "", &other);
    assert!(output.status.success() && !said.contains("mlflow"), "{said}");
    let promote = ["models", "promote", "other", "--registry", "registry", "--at", "2025-06-01T00:00:00Z"];
    let promote: Vec<&str> = promote.into_iter().chain(["--challenger"]).collect();
    let (output, said) = churnstream(dir, &server.uri, &promote);
    assert!(output.status.success() && said.contains("mlflow: version 3 is challenger"), "{said}");
}
