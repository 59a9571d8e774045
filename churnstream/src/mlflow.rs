//! MLflow beside the registry: where `MLFLOW_TRACKING_URI` is set, runs, metrics, bundles and aliases are told to it.
//!
//! Over its REST API (MLflow 2 and 3, "REST API" in its documentation). The registry stays the truth: nothing is ever read from
//! MLflow but the numbers of what was told to it, and where it cannot be reached, that is said and work goes on. Calls have a time
//! limit. Servers behind TLS are asked with the authorities that browsers trust. Who asks is said by a token, or by user and password.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scorer::{Bundle, Manifest};
use serde_json::{Value, json};

/// The environment's variable that names the server.
const URI: &str = "MLFLOW_TRACKING_URI";
/// Bears a token for servers that want one.
const TOKEN: &str = "MLFLOW_TRACKING_TOKEN";
/// Name who asks, where there is no token.
const USER: &str = "MLFLOW_TRACKING_USERNAME";
const PASSWORD: &str = "MLFLOW_TRACKING_PASSWORD";
/// Names the experiment; `churnstream` without it.
const EXPERIMENT: &str = "MLFLOW_EXPERIMENT_NAME";
/// No call takes longer.
const LIMIT: Duration = Duration::from_secs(60);
/// The tag by which a model's version is found again.
const BUNDLE: &str = "churnstream.bundle";
/// Of parameters MLflow takes so many characters.
const LONGEST: usize = 500;

/// A server, with the names under which things stand there.
struct Server {
    agent: ureq::Agent,
    uri: String,
    /// The header that says who asks.
    authorization: Option<String>,
    /// The experiment, and the registered model.
    name: String,
}

/// What an answer was: its content, or the server's code for what is wrong.
type Answer = Result<Value, (String, String)>;

/// Whether a server is named.
pub(crate) fn is_named() -> bool {
    Server::named().is_some()
}

/// Tells MLflow of a trained bundle: a run with what it learnt from and how good it is, the bundle's files, and a version of the
/// registered model. Does nothing where no server is named; where it fails, says so.
pub(crate) fn log_bundle(bundle: &Bundle, settings: &BTreeMap<String, String>) {
    if let Some(server) = Server::named() {
        report(server.log_bundle(bundle, settings).map(|run| format!("run {run}")), &server.uri);
    }
}

/// Tells MLflow that a bundle took a role (`champion` or `challenger`): an alias of its version, which is made if there is none.
pub(crate) fn log_alias(bundle: &Bundle, alias: &str) {
    if let Some(server) = Server::named() {
        report(
            server.alias(bundle, alias).map(|version| format!("version {version} is {alias}")),
            &server.uri,
        );
    }
}

fn report(done: anyhow::Result<String>, uri: &str) {
    match done {
        Ok(what) => eprintln!("mlflow: {what} at {uri}"),
        Err(error) => {
            let why = telemetry::in_words(error.as_ref());
            eprintln!("mlflow: not told to {uri}, which changes nothing here: {why}");
        }
    }
}

impl Server {
    fn named() -> Option<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let uri = variable(URI)?.trim_end_matches('/').to_owned();
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(LIMIT))
            .http_status_as_error(false)
            .build()
            .into();
        let name = variable(EXPERIMENT).unwrap_or_else(|| "churnstream".to_owned());
        let password = || variable(PASSWORD).unwrap_or_default();
        let authorization = match (variable(TOKEN), variable(USER)) {
            (Some(token), _) => Some(format!("Bearer {token}")),
            (None, Some(user)) => {
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{}", password()))))
            }
            (None, None) => None,
        };
        Some(Self { agent, uri, authorization, name })
    }

    fn log_bundle(&self, bundle: &Bundle, settings: &BTreeMap<String, String>) -> anyhow::Result<String> {
        let manifest = bundle.manifest();
        let experiment = self.experiment()?;
        let run = json!({
            "experiment_id": experiment,
            "start_time": now(),
            "run_name": bundle.hash(),
            "tags": [{"key": BUNDLE, "value": bundle.hash()}],
        });
        let created = self.must(self.post("runs/create", &run)?)?;
        let info = &created["run"]["info"];
        let run = text(&info["run_id"])?;
        let artifacts = text(&info["artifact_uri"])?;
        let logged = self.log_run(&run, manifest, settings);
        let stored = logged.and_then(|()| self.store(bundle, &artifacts));
        let status = if stored.is_ok() { "FINISHED" } else { "FAILED" };
        let update = json!({"run_id": run, "status": status, "end_time": now()});
        self.must(self.post("runs/update", &update)?)?;
        stored?;
        self.version(bundle, Some((&run, &artifacts)))?;
        Ok(run)
    }

    /// The number of the experiment, which is made if there is none.
    fn experiment(&self) -> anyhow::Result<String> {
        let found = self.get("experiments/get-by-name", &[("experiment_name", &self.name)])?;
        match found {
            Ok(found) => text(&found["experiment"]["experiment_id"]),
            Err((code, _)) if code == "RESOURCE_DOES_NOT_EXIST" => text(
                &self.must(self.post("experiments/create", &json!({"name": self.name}))?)?["experiment_id"],
            ),
            other => self.must(other).and(Ok(String::new())),
        }
    }

    fn log_run(
        &self,
        run: &str,
        manifest: &Manifest,
        settings: &BTreeMap<String, String>,
    ) -> anyhow::Result<()> {
        let at = now();
        let metric =
            |(key, value): (&String, &f64)| json!({"key": key, "value": value, "timestamp": at, "step": 0});
        let training = &manifest.training;
        let facts = [
            ("spec", manifest.spec_hash.clone()),
            ("horizon", manifest.horizon.to_string()),
            ("label", manifest.label.as_ref().map_or_else(String::new, ToString::to_string)),
            ("features", manifest.feature_names.len().to_string()),
            ("training_rows", training.rows.to_string()),
            ("training_from_ms", training.from.to_string()),
            ("training_to_ms", training.to.to_string()),
            ("labels_decided_ms", training.labels_decided.to_string()),
        ];
        let facts = facts.map(|(key, value)| (key.to_owned(), value));
        let settings = settings.iter().map(|(key, value)| (key.clone(), value.clone()));
        // What it was fitted with in the end: after a search, what that found.
        let fitting = manifest.fitting.iter().flat_map(|fitting| {
            let params = fitting.params.iter().map(|(name, value)| (name.clone(), value.to_string()));
            let bounds = fitting.monotone.iter();
            params.chain(bounds.map(|(name, direction)| (format!("monotone.{name}"), direction.clone())))
        });
        let param = |(key, value): (String, String)| json!({"key": key, "value": value.chars().take(LONGEST).collect::<String>()});
        let batch = json!({
            "run_id": run,
            "metrics": manifest.metrics.iter().map(metric).collect::<Vec<_>>(),
            "params": facts.into_iter().chain(settings).chain(fitting).map(param).collect::<Vec<_>>(),
        });
        self.must(self.post("runs/log-batch", &batch)?)?;
        Ok(())
    }

    /// Puts the bundle's files among the run's artifacts, in the folder `bundle`.
    fn store(&self, bundle: &Bundle, artifacts: &str) -> anyhow::Result<()> {
        let Some(under) = artifacts.strip_prefix("mlflow-artifacts:/") else {
            bail!(
                "the server keeps artifacts in {artifacts} and takes none itself: start it with --serve-artifacts"
            );
        };
        for entry in std::fs::read_dir(bundle.path())? {
            let path = entry?.path();
            if path.is_file() {
                self.put(&path, under)?;
            }
        }
        Ok(())
    }

    fn put(&self, path: &Path, under: &str) -> anyhow::Result<()> {
        let name = path.file_name().and_then(|name| name.to_str()).context("a file without a name")?;
        let under = under.trim_start_matches('/');
        let uri = format!("{}/api/2.0/mlflow-artifacts/artifacts/{under}/bundle/{name}", self.uri);
        let bytes = std::fs::read(path)?;
        let mut request = self.agent.put(&uri);
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let answer = request.content_type("application/octet-stream").send(&bytes)?;
        anyhow::ensure!(answer.status().is_success(), "{name}: the server says {}", answer.status());
        Ok(())
    }

    /// The version of the registered model that holds a bundle; made of a run, or of nothing but its hash, if there is none.
    fn version(&self, bundle: &Bundle, run: Option<(&str, &str)>) -> anyhow::Result<String> {
        let filter = format!("name = '{}' and tags.`{BUNDLE}` = '{}'", self.name, bundle.hash());
        let found = self.must(self.get("model-versions/search", &[("filter", &filter)])?)?;
        if let Some(version) = found["model_versions"].get(0) {
            return text(&version["version"]);
        }
        match self.post("registered-models/create", &json!({"name": self.name}))? {
            Err((code, _)) if code == "RESOURCE_ALREADY_EXISTS" => {}
            answer => _ = self.must(answer)?,
        }
        let Some((run, artifacts)) = run else {
            // It was trained while no server was named: its run is told now.
            self.log_bundle(bundle, &BTreeMap::new())?;
            let found = self.must(self.get("model-versions/search", &[("filter", &filter)])?)?;
            return text(&found["model_versions"][0]["version"]);
        };
        let version = json!({
            "name": self.name,
            "source": format!("{artifacts}/bundle"),
            "run_id": run,
            "tags": [{"key": BUNDLE, "value": bundle.hash()}],
        });
        text(&self.must(self.post("model-versions/create", &version)?)?["model_version"]["version"])
    }

    fn alias(&self, bundle: &Bundle, alias: &str) -> anyhow::Result<String> {
        let version = self.version(bundle, None)?;
        let set = json!({"name": self.name, "alias": alias, "version": version});
        self.must(self.post("registered-models/alias", &set)?)?;
        Ok(version)
    }

    fn get(&self, what: &str, query: &[(&str, &str)]) -> anyhow::Result<Answer> {
        let mut request = self.agent.get(format!("{}/api/2.0/mlflow/{what}", self.uri));
        for (name, value) in query {
            request = request.query(name, value);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        answer(what, request.call()?)
    }

    fn post(&self, what: &str, body: &Value) -> anyhow::Result<Answer> {
        let mut request = self.agent.post(format!("{}/api/2.0/mlflow/{what}", self.uri));
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        answer(what, request.send_json(body)?)
    }

    /// The content, or the server's words as an error.
    fn must(&self, answer: Answer) -> anyhow::Result<Value> {
        answer.map_err(|(code, words)| anyhow::anyhow!("{code}: {words}"))
    }
}

fn answer(what: &str, mut response: ureq::http::Response<ureq::Body>) -> anyhow::Result<Answer> {
    let status = response.status();
    let content: Value =
        response.body_mut().read_json().with_context(|| format!("{what}: {status}, and no JSON"))?;
    if status.is_success() {
        return Ok(Ok(content));
    }
    let of = |field: &str| content[field].as_str().unwrap_or("unknown").to_owned();
    Ok(Err((of("error_code"), format!("{what}: {}", of("message")))))
}

/// A text, or a number as one: versions have been both.
fn text(value: &Value) -> anyhow::Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => bail!("the server's answer holds {other} where a name was expected"),
    }
}

/// The wall clock, which MLflow's runs are sorted by; milliseconds.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
