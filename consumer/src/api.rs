//! The read API over HTTP, on loopback unless told otherwise: what the command line and dashboards ask while a consumer runs. `GET /` says
//! what there is.

use std::path::Path;
use std::sync::Arc;

use axum::extract::{Path as UrlPath, Query as UrlQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use partition_log::partition_for;
use scorer::{Schedule, Shap, Signals};
use serde::{Deserialize, Serialize};
use types::{Band, Reason};

use crate::pool::Routes;
use crate::query::{Answer, FeatureReading, Query, ReadStatus};
use crate::status::{Status, StatusBoard};

/// The file in the store's folder that holds the address of the API while a consumer runs.
pub const ADDRESS_FILE: &str = "api-address";

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) routes: Routes,
    pub(crate) partitions: u32,
    pub(crate) schedule: Arc<std::sync::RwLock<Arc<Schedule>>>,
    pub(crate) status: StatusBoard,
}

/// What `GET /` answers.
const PATHS: &str = "\
/metrics                       for Prometheus
/healthz                       whether it lives
/readyz                        whether all state is there, or why not
/v1/status                     positions, lag, customers by band, as JSON
/v1/users/ID/features          a user's features, of the newest event
/v1/users/ID/score             the same, scored, with reasons
/v1/users/ID/...?as_of=TIME    as of 2024-03-01, 2024-03-01T00:00:00Z or milliseconds since 1970
";

#[derive(Deserialize)]
struct AsOf {
    as_of: Option<String>,
}

/// A score computed on demand, with its reasons.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScoreReading {
    /// What it was computed from.
    #[serde(flatten)]
    pub features: FeatureReading,
    /// The model's output in log-odds.
    pub margin: Option<f32>,
    /// The calibrated probability.
    pub probability: Option<f32>,
    /// The band.
    pub band: Option<Band>,
    /// The model bundle's hash.
    pub model: Option<String>,
    /// Every signal's part, strongest first.
    pub reasons: Vec<Told>,
}

/// A reason in numbers and in words.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Told {
    /// The numbers.
    #[serde(flatten)]
    pub reason: Reason,
    /// The same as a sentence.
    pub sentence: String,
}

pub(crate) fn router(api: Api) -> Router {
    Router::new()
        .route("/", get(PATHS))
        .route("/v1/status", get(status))
        .route("/v1/users/{entity}/features", get(features))
        .route("/v1/users/{entity}/score", get(score))
        .with_state(api)
}

async fn status(State(api): State<Api>) -> Json<Status> {
    Json(api.status.read())
}

async fn features(
    State(api): State<Api>,
    UrlPath(entity): UrlPath<String>,
    UrlQuery(query): UrlQuery<AsOf>,
) -> Response {
    match read(api, entity, query.as_of).await {
        Ok(reading) => (code(&reading), Json(reading)).into_response(),
        Err(refusal) => refusal,
    }
}

async fn score(
    State(api): State<Api>,
    UrlPath(entity): UrlPath<String>,
    UrlQuery(query): UrlQuery<AsOf>,
) -> Response {
    let schedule = Arc::clone(&api.schedule.read().unwrap_or_else(std::sync::PoisonError::into_inner));
    match read(api, entity, query.as_of).await {
        Ok(reading) => (code(&reading), Json(ScoreReading::of(reading, &schedule))).into_response(),
        Err(refusal) => refusal,
    }
}

fn code(reading: &FeatureReading) -> StatusCode {
    if reading.status == ReadStatus::NotFound { StatusCode::NOT_FOUND } else { StatusCode::OK }
}

async fn read(api: Api, entity: String, as_of: Option<String>) -> Result<FeatureReading, Response> {
    let as_of = as_of
        .map(|text| producer::map::moment(&text))
        .transpose()
        .map_err(|wrong| (StatusCode::BAD_REQUEST, format!("as_of: {wrong}\n")).into_response())?;
    let partition = partition_for(entity.as_bytes(), api.partitions);
    let asked = tokio::task::spawn_blocking(move || {
        api.routes.ask(partition, |reply| Query { partition, entity: entity.clone(), as_of, reply })
    });
    match asked.await {
        Ok(Some(Answer::Features(reading))) => Ok(reading),
        Ok(Some(Answer::Failed(error @ crate::ConsumerError::AsOfTooOld { .. }))) => {
            Err((StatusCode::UNPROCESSABLE_ENTITY, format!("{error}\n")).into_response())
        }
        Ok(Some(Answer::Failed(error))) => {
            Err((StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response())
        }
        _ => Err((
            StatusCode::SERVICE_UNAVAILABLE,
            "the partition's worker did not answer in time; try again\n",
        )
            .into_response()),
    }
}

impl ScoreReading {
    /// Scores a reading by the bundle that holds at its moment. Ended and unknown users have no score.
    #[must_use]
    pub fn of(features: FeatureReading, schedule: &Schedule) -> Self {
        let Some(as_of) = features.as_of.filter(|_| features.living) else {
            return Self {
                features,
                margin: None,
                probability: None,
                band: None,
                model: None,
                reasons: Vec::new(),
            };
        };
        let bundle = schedule.champion(as_of);
        let row: Vec<f32> = features.features.iter().map(|(_, value)| value.unwrap_or(f32::NAN)).collect();
        let mut margin = [0.0];
        bundle.predictor().margins(&row, &mut margin, &mut bundle.predictor().scratch());
        let probability = bundle.probability(margin[0]);
        let mut effects = vec![0.0; row.len()];
        Shap::new(bundle.model()).explain(&row, &mut effects);
        let reasons = Signals::of(bundle).reasons(&row, &effects, row.len());
        let told = |reason: Reason| Told { sentence: scorer::sentence(&reason), reason };
        Self {
            reasons: reasons.into_iter().map(told).collect(),
            margin: Some(margin[0]),
            probability: Some(probability),
            band: Some(bundle.band(probability)),
            model: Some(bundle.hash().to_owned()),
            features,
        }
    }
}

/// The address of the consumer that has the store open, if one says so.
#[must_use]
pub fn address_of(store: &Path) -> Option<String> {
    let text = std::fs::read_to_string(store.join(ADDRESS_FILE)).ok()?;
    Some(text.trim().to_owned()).filter(|address| !address.is_empty())
}
