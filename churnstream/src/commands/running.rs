//! Asking the consumer that has a store open.

use std::path::Path;

use anyhow::{Context, bail};
use consumer::Status;
use serde::de::DeserializeOwned;

/// What the read API at an address answers; `None` if nobody is there. That a user is not found is an answer too.
pub(crate) fn ask<T: DeserializeOwned>(address: &str, path: &str) -> anyhow::Result<Option<T>> {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
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
