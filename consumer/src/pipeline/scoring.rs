//! From feature rows to score records: margins in batches, calibration, band, reasons, JSON.

use std::sync::Arc;

use scorer::{Bundle, Schedule, Shap};
use types::{Band, EventTime, Offset, PartitionId, Trigger};

use super::{Row, Rows, UserStore};
use crate::pipeline::encode::ScoreTemplate;

/// A finished score, borrowed until the next one.
#[derive(Debug, Clone, Copy)]
pub struct ScoreRecord<'a> {
    /// Whether the champion made it, or a challenger in the shadow.
    pub shadow: Shadow,
    /// The event or tick that caused it.
    pub offset: Offset,
    /// Its as-of time: the record's timestamp.
    pub as_of: EventTime,
    /// Whose it is: the record's key.
    pub entity: &'a str,
    /// The band, for counting.
    pub band: Band,
    /// The calibrated probability, for counting.
    pub probability: f32,
    /// What caused it.
    pub trigger: Trigger,
    /// The score as JSON.
    pub json: &'a [u8],
}

/// Which model of the registry made a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shadow {
    /// The champion: goes to `scores`.
    No,
    /// The challenger: goes to `shadow-scores`.
    Yes,
}

/// Scores the rows of one partition.
#[derive(Debug)]
pub struct Scoring {
    partition: PartitionId,
    entity_type: String,
    why: Reasons,
    schedule: Arc<Schedule>,
    /// The bundles in use, with what is prepared for each. Few: one, and one more after a promotion.
    prepared: Vec<Prepared>,
    margins: Vec<f32>,
    shap: Vec<f32>,
    reasons: Vec<(usize, f32)>,
    json: Vec<u8>,
}

#[derive(Debug)]
struct Prepared {
    bundle: Arc<Bundle>,
    template: ScoreTemplate,
    shap: Shap,
    scratch: scorer::Scratch,
}

/// Which scores say why. Whatever is chosen, the read API explains any user's score on demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reasons {
    /// Those of events that raise a user to a higher band, and those of sweeps above the lowest band.
    #[default]
    Risen,
    /// None: the fastest.
    Off,
}

/// How many reasons a score gives at most.
const REASONS: usize = 3;

impl Scoring {
    /// A scorer for one partition of entities of a type by the bundles of a schedule.
    #[must_use]
    pub fn new(partition: PartitionId, entity_type: &str, schedule: Arc<Schedule>) -> Self {
        let entity_type = entity_type.to_owned();
        Self {
            partition,
            entity_type,
            why: Reasons::default(),
            schedule,
            prepared: Vec::new(),
            margins: Vec::new(),
            shap: Vec::new(),
            reasons: Vec::new(),
            json: Vec::new(),
        }
    }

    /// The same, with a choice of which scores say why.
    #[must_use]
    pub fn with_reasons(self, why: Reasons) -> Self {
        Self { why, ..self }
    }

    /// Goes on with a schedule that was extended.
    pub fn reschedule(&mut self, schedule: Arc<Schedule>) {
        self.schedule = schedule;
    }

    /// Scores every row in order and hands each record to `emit`; remembers in the users' states the bands they reached by
    /// events. O(rows x trees).
    ///
    /// # Errors
    /// What `emit` returns.
    pub fn score<E>(
        &mut self,
        rows: &Rows,
        users: &mut UserStore,
        mut emit: impl FnMut(ScoreRecord<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let schedule = Arc::clone(&self.schedule);
        let mut from = 0;
        // Rows of one champion and one challenger are scored together; a promotion splits the block.
        while from < rows.len() {
            let champion = schedule.champion(rows.row(from).as_of);
            let challenger = schedule.challenger(rows.row(from).as_of);
            let same = |row: &Row<'_>| {
                Arc::ptr_eq(schedule.champion(row.as_of), champion)
                    && schedule.challenger(row.as_of).map(Arc::as_ptr) == challenger.map(Arc::as_ptr)
            };
            let to = (from..rows.len()).find(|&i| !same(&rows.row(i))).unwrap_or(rows.len());
            self.score_by(champion, Shadow::No, rows, from..to, users, &mut emit)?;
            if let Some(challenger) = challenger {
                self.score_by(challenger, Shadow::Yes, rows, from..to, users, &mut emit)?;
            }
            from = to;
        }
        Ok(())
    }

    fn score_by<E>(
        &mut self,
        bundle: &Arc<Bundle>,
        shadow: Shadow,
        rows: &Rows,
        range: std::ops::Range<usize>,
        users: &mut UserStore,
        emit: &mut impl FnMut(ScoreRecord<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let at = self.prepare(bundle);
        let prepared = &mut self.prepared[at];
        let values = &rows.features()[range.start * rows.width()..range.end * rows.width()];
        self.margins.clear();
        self.margins.resize(range.len(), 0.0);
        bundle.predictor().margins(values, &mut self.margins, &mut prepared.scratch);

        for (index, &margin) in range.zip(&self.margins) {
            let row = rows.row(index);
            let probability = bundle.probability(margin);
            let band = bundle.band(probability);
            let explain = match (shadow, row.slot) {
                (Shadow::Yes, _) => false,
                (Shadow::No, _) if self.why == Reasons::Off => false,
                (Shadow::No, None) => band > Band::Low,
                (Shadow::No, Some(slot)) => {
                    let before = users.state(slot).tag();
                    let now = band as u8;
                    if now != before {
                        users.state_mut(slot).set_tag(now);
                    }
                    now > before
                }
            };
            self.json.clear();
            prepared.template.begin(&mut self.json, self.partition, &row, margin, probability, band);
            if explain {
                self.shap.clear();
                self.shap.resize(rows.width(), 0.0);
                prepared.shap.explain(row.features, &mut self.shap);
                scorer::top_reasons_into(&self.shap, REASONS, &mut self.reasons);
                prepared.template.reasons(
                    &mut self.json,
                    bundle.feature_names(),
                    row.features,
                    &self.reasons,
                );
            }
            prepared.template.end(&mut self.json);
            emit(ScoreRecord {
                shadow,
                offset: row.offset,
                as_of: row.as_of,
                entity: row.entity,
                band,
                probability,
                trigger: row.trigger,
                json: &self.json,
            })?;
        }
        Ok(())
    }

    fn prepare(&mut self, bundle: &Arc<Bundle>) -> usize {
        if let Some(at) = self.prepared.iter().position(|p| Arc::ptr_eq(&p.bundle, bundle)) {
            return at;
        }
        self.prepared.push(Prepared {
            bundle: Arc::clone(bundle),
            template: ScoreTemplate::new(bundle, &self.entity_type),
            shap: Shap::new(bundle.model()),
            scratch: bundle.predictor().scratch(),
        });
        self.prepared.len() - 1
    }
}
