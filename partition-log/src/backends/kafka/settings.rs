//! What the user wants of librdkafka beside what is set here: from a file and from the environment. Never from the command line,
//! whose words every user of the machine can read.
//!
//! [`FILE`] names a file of lines `setting=value`, and a variable `CHURNSTREAM_KAFKA_SASL_PASSWORD` is the setting `sasl.password`; a
//! variable goes before the file. Every setting of librdkafka is passed on, except those by which a promise would be broken
//! ([`refusal`]). No value is ever printed: each may be a secret.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use rdkafka::ClientConfig;

use super::service::is_of_a_service;
use crate::LogError;

/// The variable that names the file of settings.
pub(super) const FILE: &str = "CHURNSTREAM_KAFKA_CONFIG";
/// What the names of variables begin with that are a setting each.
const VARIABLE: &str = "CHURNSTREAM_KAFKA_";

/// Names that librdkafka takes for others. One setting has one name here, or two of its values would meet.
const OTHER_NAMES: [(&str, &str); 14] = [
    ("auto.commit.enable", "enable.auto.commit"),
    ("compression.codec", "compression.type"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
    ("metadata.broker.list", "bootstrap.servers"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("request.required.acks", "acks"),
    ("retries", "message.send.max.retries"),
    ("sasl.mechanism", "sasl.mechanisms"),
    ("sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.id"),
    ("sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.client.secret"),
    ("partitioner_cb", "partitioner"),
    ("offset.store.method", "enable.auto.offset.store"),
];

/// Settings that are not the user's to change, and why.
const REFUSED: [(&[&str], &str); 19] = [
    (&["bootstrap.servers"], "the brokers stand in the place: kafka:HOST:PORT"),
    (&["group.id"], "a consumer's group is named by its option --group"),
    (
        &["group.instance.id", "transactional.id"],
        "each member has its own, made from the group and its store, so that one that is started again is known and what it left is ended",
    ),
    (
        &["partition.assignment.strategy", "group.protocol", "group.remote.assignor", "group.protocol.type"],
        "partitions move one by one, with the state of their users: churnstream has one way to share them",
    ),
    (&["session.timeout.ms", "heartbeat.interval.ms"], "a consumer's option --session-timeout decides both"),
    (
        &["enable.auto.commit", "enable.auto.offset.store"],
        "offsets are committed in one transaction with the scores that they belong to; by themselves they would lose or repeat some",
    ),
    (
        &["auto.offset.reset"],
        "reading begins where the last commit ended; to go on elsewhere when that is gone would lose events silently",
    ),
    (&["isolation.level"], "what an aborted transaction left would be read as if it counted"),
    (&["check.crcs"], "bytes that changed on their way would be taken for what was written"),
    (&["enable.partition.eof"], "readers find the end of a partition by themselves"),
    (
        &["acks", "enable.idempotence", "enable.gapless.guarantee"],
        "without it a broker that fails would lose records, or have some twice",
    ),
    (
        &["max.in.flight.requests.per.connection"],
        "a broker that comes back from a crash knows the last batch of a writer only: with more under way it would take some twice or none",
    ),
    (
        &["message.timeout.ms", "transaction.timeout.ms"],
        "how long a record and a transaction may wait belongs to how failures are told apart",
    ),
    (
        &["message.max.bytes"],
        "records of up to 32 MiB are written; what a topic takes is its own setting max.message.bytes",
    ),
    (
        &["partitioner"],
        "a key's partition is Kafka's own choice (murmur2); by another one a user's events would lie in several",
    ),
    (
        &["allow.auto.create.topics"],
        "topics are made with settings that keep history, not with a broker's defaults",
    ),
    (
        &["delivery.report.only.error", "produce.offset.report", "queuing.strategy"],
        "whether each record arrived, and where, is counted",
    ),
    (
        &["api.version.request", "api.version.fallback.ms", "broker.version.fallback"],
        "spoken to as an old broker, one gives records without headers, and those of aborted transactions as if they counted",
    ),
    (
        &["test.mock.num.brokers", "test.mock.broker.rtt", "enable_sasl_queue"],
        "it is for librdkafka's own tests: brokers that it makes up take the place of yours, and forget all that is written",
    ),
];

/// Why a setting is not passed on; `None` if it is. Takes the names that librdkafka takes.
#[must_use]
fn refusal(setting: &str) -> Option<&'static str> {
    let setting = name_of(setting);
    REFUSED.iter().find(|(names, _)| names.contains(&setting)).map(|(_, reason)| *reason)
}

fn name_of(setting: &str) -> &str {
    OTHER_NAMES.iter().find(|(other, _)| *other == setting).map_or(setting, |(_, name)| name)
}

/// The user's settings.
#[derive(Clone, Default)]
pub struct Settings {
    /// Of each setting its value, and where it stands.
    values: BTreeMap<String, (String, String)>,
}

/// Names only: values may be secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Settings {
    /// Those of this process's environment, and of the file that it names.
    ///
    /// # Errors
    /// [`LogError::BadSetting`] for a line that is none, and for a setting that is refused; [`LogError::Io`] if the file cannot be read.
    pub fn of_environment() -> Result<Self, LogError> {
        let texts = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::from_variables(texts)
    }

    /// Those of variables that are at hand.
    ///
    /// # Errors
    /// As [`Settings::of_environment`].
    pub fn from_variables(variables: impl Iterator<Item = (String, String)>) -> Result<Self, LogError> {
        // Sorted, so that of several mistakes the same one is told each time.
        let variables: BTreeMap<String, String> =
            variables.filter(|(name, value)| name.starts_with(VARIABLE) && !value.is_empty()).collect();
        let mut settings = Self::default();
        if let Some(file) = variables.get(FILE) {
            let path = Path::new(file);
            let text = std::fs::read_to_string(path).map_err(|source| LogError::Io {
                action: "reading the settings for Kafka of",
                path: path.to_owned(),
                source,
            })?;
            settings.read(&text, file)?;
        }
        for (variable, value) in variables.iter().filter(|(name, _)| *name != FILE) {
            let rest = &variable[VARIABLE.len()..];
            if is_of_a_service(rest, value) {
                continue;
            }
            let mut setting = rest.to_ascii_lowercase().replace('_', ".");
            // The only one that is the user's to set and is written with a line below.
            if setting == "log.level" {
                "log_level".clone_into(&mut setting);
            }
            settings.insert(&setting, value, variable.clone())?;
        }
        Ok(settings)
    }

    /// Takes the lines of a file: `setting=value`, or nothing, or a comment behind `#` or `!`.
    fn read(&mut self, text: &str, file: &str) -> Result<(), LogError> {
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let place = format!("{file} line {number}");
            let Some((setting, value)) = line.split_once('=') else {
                // Not the line itself: it may be a password.
                let reason = "write setting=value".to_owned();
                return Err(LogError::BadSetting { setting: "a line".to_owned(), place, reason });
            };
            let setting = setting.trim();
            if let Some(first) = places.insert(name_of(setting).to_owned(), number) {
                let reason = format!("it stands in line {first} already");
                return Err(LogError::BadSetting { setting: format!("`{setting}`"), place, reason });
            }
            self.insert(setting, value.trim(), place)?;
        }
        Ok(())
    }

    fn insert(&mut self, setting: &str, value: &str, place: String) -> Result<(), LogError> {
        if let Some(reason) = refusal(setting) {
            let reason = format!("it is not passed on: {reason}. Remove it");
            return Err(LogError::BadSetting { setting: format!("`{setting}`"), place, reason });
        }
        super::said::keep_secret(name_of(setting), value);
        self.values.insert(name_of(setting).to_owned(), (value.to_owned(), place));
        Ok(())
    }

    /// The value of a setting, by librdkafka's first name for it.
    pub(super) fn get(&self, setting: &str) -> Option<&str> {
        self.values.get(setting).map(|(value, _)| value.as_str())
    }

    /// Sets them, over what was set before.
    pub(super) fn apply(&self, config: &mut ClientConfig) {
        for (setting, (value, _)) in &self.values {
            config.set(setting, value);
        }
    }

    /// What librdkafka said of a setting, with its place. Its own error would show the value.
    pub(super) fn mistake(&self, setting: &str, description: &str) -> LogError {
        let (value, place) = self
            .values
            .get(setting)
            .map_or(("", "churnstream"), |(value, place)| (value.as_str(), place.as_str()));
        // librdkafka repeats a value that is not among those it knows. A secret may have been put in its place.
        let reason =
            if value.is_empty() { description.to_owned() } else { description.replace(value, "...") };
        LogError::BadSetting { setting: format!("`{setting}`"), place: place.to_owned(), reason }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::{CStr, CString, c_char, c_int, c_void};

    use rdkafka::bindings::{rd_kafka_conf_dump, rd_kafka_conf_dump_free, rd_kafka_conf_properties_show};

    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Settings, LogError> {
        Settings::from_variables(variables.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())))
    }

    #[test]
    fn variables_go_before_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kafka.properties");
        std::fs::write(&path, "# ours\n\n sasl.mechanism = PLAIN\nsasl.password=a=b \n! x\nlinger.ms=7\n")
            .unwrap();
        let settings = of(&[
            ("CHURNSTREAM_KAFKA_QUEUE_BUFFERING_MAX_MS", "9"),
            (FILE, path.to_str().unwrap()),
            ("CHURNSTREAM_KAFKA_SASL_USERNAME", "ann"),
            ("CHURNSTREAM_TEST_KAFKA", "x"),
            ("PATH", "/bin"),
            // Of a Service in Kubernetes that is called churnstream-kafka.
            ("CHURNSTREAM_KAFKA_PORT", "tcp://10.0.0.11:9092"),
            ("CHURNSTREAM_KAFKA_SERVICE_HOST", "10.0.0.11"),
            ("CHURNSTREAM_KAFKA_PORT_9092_TCP_ADDR", "10.0.0.11"),
        ])
        .unwrap();
        let mut config = ClientConfig::new();
        config.set("linger.ms", "5");
        settings.apply(&mut config);
        for (setting, value) in [
            ("sasl.mechanisms", "PLAIN"),
            ("sasl.password", "a=b"),
            ("linger.ms", "9"),
            ("sasl.username", "ann"),
        ] {
            assert_eq!((config.get(setting), settings.get(setting)), (Some(value), Some(value)));
        }
        let shown = format!("{settings:?}");
        assert!(
            shown.contains("sasl.password") && !shown.contains("a=b") && !shown.contains("ann"),
            "{shown}"
        );
    }

    /// librdkafka's own list of its settings: each name, and whose other name it is.
    #[allow(unsafe_code)]
    fn listed() -> BTreeMap<String, Option<String>> {
        unsafe extern "C" {
            fn fopen(path: *const c_char, mode: *const c_char) -> *mut c_void;
            fn fclose(file: *mut c_void) -> c_int;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settings");
        let name = CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: the names end with a zero byte, and the file is open until it is closed.
        unsafe {
            let file = fopen(name.as_ptr(), c"w".as_ptr());
            assert!(!file.is_null());
            rd_kafka_conf_properties_show(file.cast());
            assert_eq!(fclose(file), 0);
        }
        let text = std::fs::read_to_string(path).unwrap();
        let rows = text.lines().filter_map(|line| line.split_once(" | "));
        let rows = rows.filter(|(name, _)| !name.contains('-') && name.trim() != "Property");
        let other = |row: &str| Some(row.split_once("Alias for `")?.1.split_once('`')?.0.to_owned());
        rows.map(|(name, row)| (name.trim().to_owned(), other(row))).collect()
    }

    /// All of its settings of clients, those too that the list keeps quiet about.
    #[allow(unsafe_code)]
    fn dumped() -> Vec<String> {
        let config = ClientConfig::new().create_native_config().unwrap();
        let mut count = 0;
        // SAFETY: the configuration is there until the end, and the dump until it is freed: `count` strings, names and values in turn.
        unsafe {
            let all = rd_kafka_conf_dump(config.ptr(), &raw mut count);
            let name = |i| CStr::from_ptr(*all.add(i)).to_str().unwrap().to_owned();
            let names = (0..count).step_by(2).map(name).collect();
            rd_kafka_conf_dump_free(all, count);
            names
        }
    }

    #[test]
    fn what_would_break_a_promise_is_refused_by_every_name_that_librdkafka_knows() {
        let (listed, dumped) = (listed(), dumped());
        assert!(listed.len() > 150 && listed.values().flatten().count() > 8, "{listed:?}");
        let variable = |name: &String| name.to_ascii_uppercase().replace('.', "_");
        assert!(!listed.keys().any(|name| is_of_a_service(&variable(name), "tcp://10.0.0.11:9092")));
        // A setting that has another name has one here: by a new one nothing comes past what is refused.
        for (name, other) in listed.iter().filter_map(|(name, other)| Some((name, other.as_ref()?))) {
            assert_eq!(name_of(name), name_of(other), "librdkafka takes {name} for {other}");
        }
        let known = |name: &str| listed.contains_key(name) || dumped.iter().any(|known| known == name);
        let others = OTHER_NAMES.iter().flat_map(|(other, name)| [*other, *name]);
        for name in REFUSED.iter().flat_map(|(names, _)| names.iter().copied()).chain(others) {
            assert!(known(name), "librdkafka knows no {name}");
        }
        // What it does not list is for its tests, or does nothing here.
        let harmless = [
            "client.software.name",
            "client.software.version",
            "metadata.request.timeout.ms",
            "enable.sparse.connections",
        ];
        for name in dumped.iter().filter(|name| !listed.contains_key(*name)) {
            assert!(refusal(name).is_some() || harmless.contains(&name.as_str()), "{name} is new");
        }
        for (setting, word) in [
            ("isolation.level", "aborted"),
            ("request.required.acks", "lose"),
            ("metadata.broker.list", "place"),
            ("api.version.request", "headers"),
            ("test.mock.num.brokers", "forget"),
        ] {
            let variable = format!("CHURNSTREAM_KAFKA_{}", setting.to_ascii_uppercase().replace('.', "_"));
            let error = of(&[(&variable, "hush")]).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains(&variable) && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn mistakes_name_their_line_and_keep_its_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kafka.properties");
        for (text, word) in [
            ("\nsasl.password hush", "line 2"),
            ("sasl.mechanism=hush\nsasl.mechanisms=hush", "line 1 already"),
            ("acks=hush", "not passed on"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = of(&[(FILE, path.to_str().unwrap())]).unwrap_err().to_string();
            assert!(error.contains(word) && !error.contains("hush"), "{error}");
        }
        let error = of(&[(FILE, "no/such/file")]).unwrap_err().to_string();
        assert!(error.contains("no/such/file"), "{error}");
    }
}
