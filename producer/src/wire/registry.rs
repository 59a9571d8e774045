//! The writers' schemas: asked for once, kept for the life of the process, for a number always means the same schema.
//!
//! A registry that does not answer is asked again after a while that grows to ten seconds; until then nobody waits for it in vain twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use telemetry::{Counter, Gauge, Metrics, catalogue};
use types::RejectReason;

use super::client::{Client, Trouble};
use super::settings::SettingsError;
use super::{Access, Schema};
use crate::map::Reject;

/// The first pause after a failure; it doubles.
const SHORTEST: Duration = Duration::from_millis(250);
/// The longest.
const LONGEST: Duration = Duration::from_secs(10);
/// For so long a number stays unknown: one that is made up must not be asked for with each record, and one that is registered late must be
/// found some time.
const FORGET: Duration = Duration::from_secs(60);

/// A schema, or why values of its number cannot be read.
pub type SchemaResult = Result<Arc<Schema>, Reject>;

/// The schemas of a registry.
#[derive(Debug)]
pub struct Registry {
    client: Client,
    known: RwLock<HashMap<u32, Known>>,
    /// Held while the registry is asked: one asks, the others find what it learnt.
    asking: Mutex<Asking>,
    measures: Option<Measures>,
}

#[derive(Debug, Clone)]
enum Known {
    Schema(Arc<Schema>),
    /// It cannot be used, and never will.
    Unusable(Reject),
    /// There was none then.
    Unknown(Reject, Instant),
}

#[derive(Debug, Default)]
struct Asking {
    /// How often it failed since it answered last.
    failures: u32,
    /// Since when, until when it is left alone, and what it said last.
    trouble: Option<(Instant, Instant, String)>,
}

#[derive(Debug)]
struct Measures {
    answered: Counter,
    unknown: Counter,
    failed: Counter,
    waiting: Gauge,
}

impl Registry {
    /// The schemas of the registry at an address. Nothing is asked yet. How its answers are goes to `metrics`.
    ///
    /// # Errors
    /// If the certificates of its authorities are none.
    pub fn new(access: Access, metrics: Option<&Metrics>) -> Result<Self, SettingsError> {
        let requests = |metrics: &Metrics, outcome| metrics.counter(catalogue::SCHEMA_REQUESTS, [outcome]);
        let measures = metrics.map(|metrics| Measures {
            answered: requests(metrics, "answered"),
            unknown: requests(metrics, "unknown"),
            failed: requests(metrics, "failed"),
            waiting: metrics.gauge(catalogue::SCHEMA_REGISTRY_DOWN, []),
        });
        if let Some(measures) = &measures {
            measures.waiting.set(0.0);
        }
        Ok(Self {
            client: Client::new(access)?,
            known: RwLock::default(),
            asking: Mutex::default(),
            measures,
        })
    }

    /// Who is asked.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The schema of a number, or why there is none. Asks the registry if it is not known yet: at most three seconds.
    ///
    /// # Errors
    /// If the registry does not answer, or did not a moment ago: ask again.
    pub fn schema(&self, id: u32) -> Result<SchemaResult, String> {
        if let Some(known) = self.known(id) {
            return Ok(known);
        }
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have asked meanwhile.
        if let Some(known) = self.known(id) {
            return Ok(known);
        }
        if let Some((_, until, said)) = &asking.trouble
            && Instant::now() < *until
        {
            return Err(said.clone());
        }
        let known = match self.client.schema(id) {
            Ok(written) => match Schema::compile(&written.kind, &written.text, &written.references) {
                Ok(schema) => Known::Schema(Arc::new(schema)),
                Err(why) => Self::unusable(id, &why),
            },
            Err(Trouble::Unusable(why)) => Self::unusable(id, &why),
            Err(Trouble::Unknown) => {
                let detail = format!("the schema registry {} has no schema {id}", self.client.url());
                Known::Unknown(Reject::new(RejectReason::UnknownSchema, detail), Instant::now())
            }
            Err(Trouble::Lacks(why)) => {
                let detail = format!("schema {id} cannot be used: {why}");
                Known::Unknown(Reject::new(RejectReason::UnknownSchema, detail), Instant::now())
            }
            Err(Trouble::Unavailable(why)) => return Err(self.failed(&mut asking, &why)),
        };
        self.answered(&mut asking, id, &known);
        let result = known.result();
        let mut all = self.known.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, known| !known.is_old());
        all.insert(id, known);
        Ok(result)
    }

    fn known(&self, id: u32) -> Option<SchemaResult> {
        let all = self.known.read().unwrap_or_else(PoisonError::into_inner);
        all.get(&id).filter(|known| !known.is_old()).map(Known::result)
    }

    fn unusable(id: u32, why: &str) -> Known {
        tracing::warn!(id, why, "a schema cannot be used: its values go to the dead letters");
        Known::Unusable(Reject::new(
            RejectReason::UnknownSchema,
            format!("schema {id} cannot be used: {why}"),
        ))
    }

    fn answered(&self, asking: &mut MutexGuard<'_, Asking>, id: u32, known: &Known) {
        if let Some(measures) = &self.measures {
            let is_unknown = matches!(known, Known::Unknown(..));
            if is_unknown { &measures.unknown } else { &measures.answered }.add(1);
            measures.waiting.set(0.0);
        }
        if let Some((since, ..)) = asking.trouble.take() {
            let seconds = since.elapsed().as_secs_f64();
            tracing::info!(url = self.client.url(), seconds, "the schema registry answers again");
        }
        asking.failures = 0;
        if let Known::Schema(schema) = known {
            tracing::info!(id, kind = schema.kind(), "a writer's schema was read");
        }
    }

    fn failed(&self, asking: &mut MutexGuard<'_, Asking>, why: &str) -> String {
        let pause = SHORTEST.saturating_mul(1 << asking.failures.min(16)).min(LONGEST);
        asking.failures = asking.failures.saturating_add(1);
        if let Some(measures) = &self.measures {
            measures.failed.add(1);
            measures.waiting.set(1.0);
        }
        let said = format!("the schema registry does not answer: {why}");
        let (now, seconds) = (Instant::now(), pause.as_secs_f64());
        tracing::warn!(retry_in_seconds = seconds, "{said}; records wait for it");
        let since = asking.trouble.as_ref().map_or(now, |(since, ..)| *since);
        asking.trouble = Some((since, now + pause, said.clone()));
        said
    }
}

impl Known {
    fn result(&self) -> SchemaResult {
        match self {
            Self::Schema(schema) => Ok(Arc::clone(schema)),
            Self::Unusable(why) | Self::Unknown(why, _) => Err(why.clone()),
        }
    }

    fn is_old(&self) -> bool {
        matches!(self, Self::Unknown(_, when) if when.elapsed() > FORGET)
    }
}

#[cfg(test)]
mod tests;
