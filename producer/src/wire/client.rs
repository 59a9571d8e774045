//! Asking a schema registry, over the part of Confluent's REST API that reading needs ("Schema Registry API Reference").

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::Access;
use super::settings::SettingsError;

/// A schema with all that it refers to is there by then, or is not to be had now.
const LIMIT: Duration = Duration::from_secs(3);
/// The longest answer, in bytes.
const LONGEST: u64 = 8 << 20;
/// The most schemas that one may refer to, at any depth.
const MOST_REFERENCES: usize = 200;

/// Asks a registry.
#[derive(Debug)]
pub struct Client {
    agent: ureq::Agent,
    access: Access,
}

/// Why there is no schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The registry knows none of that number.
    Unknown,
    /// It refers to one that the registry does not know, or not yet; which.
    Lacks(String),
    /// There is one, and it cannot be used; why.
    Unusable(String),
    /// The registry cannot be asked now, or does not answer as one; what it says, or the system.
    Unavailable(String),
}

/// A schema as the registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its type: `AVRO`, `PROTOBUF`, `JSON`.
    pub kind: String,
    /// The schema.
    pub text: String,
    /// Name and text of those that it refers to; those that others need first.
    pub references: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Answer {
    schema: String,
    #[serde(rename = "schemaType")]
    kind: Option<String>,
    references: Option<Vec<Reference>>,
}

#[derive(Deserialize)]
struct Reference {
    name: String,
    subject: String,
    version: i64,
}

#[derive(Deserialize)]
struct Refusal {
    error_code: i64,
    #[serde(default)]
    message: String,
}

/// There is no such schema, subject or version.
const NONE_SUCH: [i64; 3] = [40403, 40401, 40402];

impl Client {
    /// A client of the registry at an address. Nothing is asked yet.
    ///
    /// # Errors
    /// If the certificates of its authorities are none.
    pub fn new(access: Access) -> Result<Self, SettingsError> {
        let mut tls = TlsConfig::builder();
        if let Some(pem) = &access.authorities {
            let found: Result<Vec<_>, _> = parse_pem(pem).collect();
            let found = found.unwrap_or_default().into_iter().filter_map(|item| match item {
                PemItem::Certificate(certificate) => Some(certificate),
                _ => None,
            });
            let found: Vec<Certificate<'static>> = found.collect();
            if found.is_empty() {
                let why = "the file of the schema registry's authorities holds no certificate in PEM form";
                return Err(SettingsError::Variables(why.to_owned()));
            }
            tls = tls.root_certs(RootCerts::new_with_certs(&found));
        }
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(tls.build())
            .user_agent(concat!("churnstream/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Ok(Self { agent, access })
    }

    /// The registry's address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.access.url
    }

    /// Whether the registry answers; which types of schemas it has.
    ///
    /// # Errors
    /// If it does not.
    pub fn types(&self) -> Result<Vec<String>, Trouble> {
        self.get("/schemas/types", Instant::now() + LIMIT)
    }

    /// The schema of a number, with those that it refers to. Takes no longer than three seconds.
    ///
    /// # Errors
    /// If there is none, or it cannot be had now.
    pub fn schema(&self, id: u32) -> Result<Written, Trouble> {
        let deadline = Instant::now() + LIMIT;
        let answer: Answer = self.get(&format!("/schemas/ids/{id}"), deadline)?;
        let mut found = Found { deadline, seen: HashSet::new(), texts: Vec::new() };
        self.follow(answer.references, &mut found)?;
        let kind = answer.kind.unwrap_or_else(|| "AVRO".to_owned());
        Ok(Written { kind, text: answer.schema, references: found.texts })
    }

    fn follow(&self, references: Option<Vec<Reference>>, found: &mut Found) -> Result<(), Trouble> {
        for Reference { name, subject, version } in references.unwrap_or_default() {
            // Two may refer to the same, by the same name.
            if !found.seen.insert((name.clone(), subject.clone(), version)) {
                continue;
            }
            if found.seen.len() > MOST_REFERENCES {
                return Err(Trouble::Unusable(format!("it refers to more than {MOST_REFERENCES} others")));
            }
            // Schemas of old records are still needed when their subjects were deleted. One that is not there may be on its way: it is asked for
            // again, as the schema itself would be.
            let path = format!("/subjects/{}/versions/{version}?deleted=true", escaped(&subject));
            let answer: Answer = self.get(&path, found.deadline).map_err(|trouble| match trouble {
                Trouble::Unknown => Trouble::Lacks(format!(
                    "it refers to version {version} of `{subject}`, which is not there"
                )),
                other => other,
            })?;
            self.follow(answer.references, found)?;
            found.texts.push((name, answer.schema));
        }
        Ok(())
    }

    fn get<T: DeserializeOwned>(&self, path: &str, deadline: Instant) -> Result<T, Trouble> {
        let url = format!("{}{path}", self.access.url);
        let unavailable = |what: String| Trouble::Unavailable(format!("{url}: {what}"));
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let mut request = self.agent.get(&url).config().timeout_global(Some(left)).build();
        request = request.header("Accept", "application/vnd.schemaregistry.v1+json, application/json");
        if let Some(authorization) = &self.access.authorization {
            request = request.header("Authorization", authorization);
        }
        let mut response = request.call().map_err(|error| unavailable(error.to_string()))?;
        let status = response.status();
        let body = response.body_mut().with_config().limit(LONGEST).read_to_vec();
        let body = body.map_err(|error| unavailable(error.to_string()))?;
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map_err(|error| unavailable(format!("its answer is not a schema registry's: {error}")));
        }
        match serde_json::from_slice(&body) {
            Ok(Refusal { error_code, .. }) if status == 404 && NONE_SUCH.contains(&error_code) => {
                Err(Trouble::Unknown)
            }
            Ok(Refusal { message, .. }) if !message.is_empty() => {
                let message: String = message.chars().take(200).collect();
                Err(unavailable(format!("{status}: {message}")))
            }
            _ if status == 404 => {
                Err(unavailable(format!("{status}: there is no schema registry at {}", self.access.url)))
            }
            _ => Err(unavailable(status.to_string())),
        }
    }
}

/// What was found of a schema's references.
struct Found {
    deadline: Instant,
    seen: HashSet<(String, String, i64)>,
    texts: Vec<(String, String)>,
}

/// A name as a part of an address.
fn escaped(name: &str) -> String {
    use std::fmt::Write as _;
    name.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            // Writing to a String cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
        out
    })
}
