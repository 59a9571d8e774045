//! What librdkafka says, as lines of our log: how much of it, and nothing secret.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use rdkafka::config::RDKafkaLogLevel;

use super::settings::Settings;

/// Values that stand in no line, whoever writes it: clients of one process may have settings of several logs.
static SECRETS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// What a setting's name contains whose value is a secret, or the name of a user.
const SECRET: [&str; 5] = ["password", "username", "secret", "pem", "oauthbearer.config"];

/// Secrets that are shorter are words that may stand in others.
const SHORT: usize = 6;

/// How much is said. librdkafka's own `debug` and `log_level` count; but the level that a client is given when it was made goes before
/// them, so it is worked out here.
pub(super) fn level(settings: &Settings) -> RDKafkaLogLevel {
    match settings.get("log_level").and_then(|level| level.trim().parse::<u8>().ok()) {
        Some(0) => RDKafkaLogLevel::Emerg,
        Some(1) => RDKafkaLogLevel::Alert,
        Some(2) => RDKafkaLogLevel::Critical,
        Some(3) => RDKafkaLogLevel::Error,
        Some(4) => RDKafkaLogLevel::Warning,
        Some(5) => RDKafkaLogLevel::Notice,
        Some(6) => RDKafkaLogLevel::Info,
        Some(_) => RDKafkaLogLevel::Debug,
        None if settings.get("debug").is_some() => RDKafkaLogLevel::Debug,
        None => RDKafkaLogLevel::Warning,
    }
}

/// From now on this value stands in no line, if it is that of a secret setting.
pub(super) fn keep_secret(setting: &str, value: &str) {
    if !value.is_empty() && SECRET.iter().any(|word| setting.contains(word)) {
        SECRETS.lock().unwrap_or_else(PoisonError::into_inner).insert(value.to_owned());
    }
}

/// A broker that is away is tried again, and its callers are told by their own time limits.
pub(super) fn say(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::warn!(facility, "{}", without_secrets(message));
        }
        _ => tracing::debug!(facility, "{}", without_secrets(message)),
    }
}

fn without_secrets(message: &str) -> String {
    let secrets = SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
    // One may be the beginning of another.
    let mut secrets: Vec<&String> = secrets.iter().collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.into_iter().fold(message.to_owned(), |message, secret| without(&message, secret))
}

/// A short one counts only where it stands as a word: as a part of others it tells nothing.
fn without(message: &str, secret: &str) -> String {
    let (mut said, mut rest) = (String::with_capacity(message.len()), message);
    while let Some(at) = rest.find(secret) {
        let (before, behind) = (&rest[..at], &rest[at + secret.len()..]);
        let goes_on = before.ends_with(char::is_alphanumeric) || behind.starts_with(char::is_alphanumeric);
        said.push_str(before);
        said.push_str(if goes_on && secret.len() < SHORT { secret } else { "..." });
        rest = behind;
    }
    said + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(setting: &str, value: &str) -> Settings {
        let variable = format!("CHURNSTREAM_KAFKA_{setting}");
        Settings::from_variables([(variable, value.to_owned())].into_iter()).unwrap()
    }

    #[test]
    fn as_much_is_said_as_the_user_wants() {
        let of = |setting, value| level(&of(setting, value)) as i32;
        assert_eq!(level(&Settings::default()) as i32, RDKafkaLogLevel::Warning as i32);
        assert_eq!(of("DEBUG", "broker,cgrp"), RDKafkaLogLevel::Debug as i32);
        assert_eq!(of("LOG_LEVEL", "3"), RDKafkaLogLevel::Error as i32);
        assert_eq!(of("LOG_LEVEL", "loud"), RDKafkaLogLevel::Warning as i32, "librdkafka refuses it");
    }

    #[test]
    fn secrets_stand_in_no_line() {
        keep_secret("sasl.password", "hush-5512");
        keep_secret("client.id", "loud-5512");
        keep_secret("sasl.username", "jo7");
        let message = "xhush-5512y, user=jo7 of jo77: loud-5512";
        assert_eq!(without_secrets(message), "x...y, user=... of jo77: loud-5512");
    }
}
