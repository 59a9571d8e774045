//! Asking the consumer that has a store open.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use consumer::Status;
use serde::de::DeserializeOwned;

/// Whoever says nothing for so long is no consumer that works.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the read API at an address answers; `None` if nobody is there. That a user is not found is an answer too.
pub(crate) fn ask<T: DeserializeOwned>(address: &str, path: &str) -> anyhow::Result<Option<T>> {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
    let agent: ureq::Agent = config.build().into();
    match agent.get(format!("{address}{path}")).call() {
        Ok(mut answer) if matches!(answer.status().as_u16(), 200 | 404) => {
            Ok(Some(answer.body_mut().read_json()?))
        }
        Ok(mut answer) => bail!("the consumer says: {}", answer.body_mut().read_to_string()?.trim()),
        // It died without removing its address.
        Err(ureq::Error::Io(_) | ureq::Error::ConnectionFailed) => Ok(None),
        Err(error) => Err(error).context("ask the consumer"),
    }
}

/// The status of the consumer that has a store open; `None` if none answers, or what answers has another store: an address that a killed
/// consumer left may be another program's by now.
pub(crate) fn status(store: &Path) -> Option<Status> {
    let status: Status = ask(&consumer::address_of(store)?, "/v1/status").ok().flatten()?;
    (store.canonicalize().ok()? == status.store).then_some(status)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// Whoever has an address by now says once what it is.
    fn answer(status: &Status) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let body = serde_json::to_string(status).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut asked, mut piece) = (Vec::new(), [0; 512]);
            while !asked.ends_with(b"\r\n\r\n") {
                let read = stream.read(&mut piece).unwrap();
                asked.extend_from_slice(&piece[..read]);
            }
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn a_consumer_of_another_store_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().canonicalize().unwrap();
        assert_eq!(status(&store), None, "nobody says where they are");
        let says = |of: &Path| {
            let address =
                answer(&Status { store: of.to_owned(), topic: "events".to_owned(), ..Status::default() });
            std::fs::write(store.join(consumer::ADDRESS_FILE), address + "\n").unwrap();
            status(&store).map(|status| status.topic)
        };
        assert_eq!(says(&store), Some("events".to_owned()));
        assert_eq!(says(&store.join("other")), None);
        assert_eq!(says(Path::new("")), None, "it has not looked at itself yet");
        // A killed one left its address, and nobody is there.
        assert_eq!(status(&store), None);
    }
}
