//! Whether a Kafka is fit for work: reachable, with rights and topics by which nothing is lost, and clocks that agree.
//!
//! Only reads, unless it is told to try writing. Every question has a time limit, and when no broker answers there are no others.

mod group;
mod topics;
mod transactions;
mod writing;

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use rdkafka::metadata::Metadata;

use super::KafkaLog;
use super::settings::FILE;
use crate::checkup::{Check, Purpose, Verdict};

/// How long brokers may take to be found.
const FIND: Duration = Duration::from_secs(10);
/// How long a connection to one of them may take.
const CONNECT: Duration = Duration::from_secs(3);
/// So long a broker has to remember a producer: longer than one waits for an acknowledgement.
const MEMORY_MS: i64 = 600_000;

impl KafkaLog {
    /// Looks at everything that a consumer and its producers need of the brokers.
    #[must_use]
    pub fn checkup(&self, purpose: &Purpose) -> Vec<Check> {
        let mut checks = vec![self.check_client()];
        let metadata = match self.metadata(None, FIND) {
            Ok(metadata) => metadata,
            Err(error) => {
                let found = self.asked("find the brokers", &error).to_string();
                let advice = advice_for(&found);
                checks.push(Check::problem("brokers", found, advice));
                return checks;
            }
        };
        let brokers = check_brokers(&metadata);
        let all_reached = brokers.verdict == Verdict::Ok;
        checks.push(brokers);
        // One that cannot be reached would be waited for.
        if all_reached {
            checks.extend(self.check_memory(&metadata));
        }
        checks.extend(self.check_topics(purpose, &metadata));
        checks.extend(self.check_group(purpose));
        if purpose.try_writing {
            checks.extend(self.try_writing(purpose));
            checks.extend(self.try_transactions(purpose));
        } else {
            checks.push(self.compare_clocks(purpose));
        }
        checks
    }

    /// What is wrong with how long brokers remember producers, as far as this user may see it.
    fn check_memory(&self, metadata: &Metadata) -> Option<Check> {
        let setting = "producer.id.expiration.ms";
        let short = metadata.brokers().iter().find_map(|broker| {
            let settings = self.settings_of_broker(broker.id()).ok()??;
            settings.number(setting).filter(|remembered| *remembered < MEMORY_MS)
        })?;
        let found =
            format!("{setting} is {short}: a batch whose acknowledgement got lost can be written twice");
        let advice = format!(
            "kafka-configs.sh --bootstrap-server {} --alter --entity-type brokers --entity-default --add-config {setting}=86400000",
            self.connect.brokers
        );
        Some(Check::problem("brokers", found, advice))
    }

    fn check_client(&self) -> Check {
        let (settings, (_, version)) = (&self.connect.settings, rdkafka::util::get_rdkafka_version());
        let protocol = settings.get("security.protocol").unwrap_or("plaintext").to_ascii_lowercase();
        let found = format!("librdkafka {version}, {protocol}, {settings:?} set by the user");
        if let Some(file) = std::env::var_os(FILE)
            && readable_by_others(&file)
        {
            let file = file.to_string_lossy();
            return Check::warning(
                "client",
                format!("{found}; others can read the settings in {file}"),
                format!("chmod 600 {file}"),
            );
        }
        Check::ok("client", found)
    }
}

fn readable_by_others(file: &std::ffi::OsStr) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).is_ok_and(|found| found.permissions().mode() & 0o004 != 0)
}

/// What may help against a failure to connect.
fn advice_for(found: &str) -> &'static str {
    let has = |word| found.contains(word);
    if has("certificate verify failed") || has("certificate") {
        "ssl.ca.location must name the authority that signed the broker's certificate, and the certificate must name the host"
    } else if has("SSL handshake failed")
        || has("Disconnected while requesting ApiVersion")
        || has("Receive failed")
    {
        "the broker's listener may want TLS, or no TLS: set security.protocol to ssl, sasl_ssl or plaintext; for mTLS, ssl.certificate.location and ssl.key.location"
    } else if has("uthentication") || has("SASL") {
        "check sasl.mechanisms, sasl.username and sasl.password"
    } else if has("resolve") {
        "the name of the host is not known here"
    } else {
        "is a broker listening there, and does a firewall let this machine through?"
    }
}

/// Whether each broker can be reached where it says that it is, which may be elsewhere than where the first one was found.
fn check_brokers(metadata: &Metadata) -> Check {
    let (mut reached, mut failed) = (Vec::new(), Vec::new());
    for broker in metadata.brokers() {
        let place = format!("{}:{}", broker.host(), broker.port());
        match connects(broker.host(), broker.port()) {
            Ok(()) => reached.push(place),
            Err(why) => failed.push(format!("{} at {place}: {why}", broker.id())),
        }
    }
    if failed.is_empty() {
        let mut found = format!("{}: {}", reached.len(), reached.join(", "));
        if reached.len() == 1 {
            found += "; there is no other, so what it loses is lost";
        }
        return Check::ok("brokers", found);
    }
    let advice = "each broker's advertised.listeners must name an address by which this machine reaches it";
    Check::problem("brokers", format!("not reached: {}", failed.join("; ")), advice)
}

fn connects(host: &str, port: i32) -> Result<(), String> {
    let port = u16::try_from(port).map_err(|_| "no such port".to_owned())?;
    let addresses = (host, port).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut why = "the name has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(_) => return Ok(()),
            Err(error) => why = error.to_string(),
        }
    }
    Err(why)
}
