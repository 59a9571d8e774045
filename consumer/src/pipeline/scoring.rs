//! From feature rows to score records: margins in batches, calibration, band, reasons, JSON.

use std::sync::Arc;

use scorer::{Bundle, Schedule, Shap, SignalScratch, Signals};
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
    judged: Vec<Judged>,
    /// The rows that are to say why, one after the other, and the effects of their features.
    explained: Vec<f32>,
    effects: Vec<f32>,
    strongest: SignalScratch,
    json: Vec<u8>,
}

/// What a margin means.
#[derive(Debug, Clone, Copy)]
struct Judged {
    probability: f32,
    band: Band,
    /// Whether the score is to say why.
    explain: bool,
}

#[derive(Debug)]
struct Prepared {
    bundle: Arc<Bundle>,
    template: ScoreTemplate,
    shap: Shap,
    signals: Signals,
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

/// How many reasons a score gives at most: signals, however many windows each has.
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
            judged: Vec::new(),
            explained: Vec::new(),
            effects: Vec::new(),
            strongest: SignalScratch::default(),
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

        self.judge(bundle, shadow, rows, range.clone(), users);
        let prepared = &mut self.prepared[at];
        self.effects.resize(self.explained.len(), 0.0);
        prepared.shap.explain_batch(&self.explained, &mut self.effects);

        let mut effects = self.effects.chunks_exact(rows.width().max(1));
        for (index, (&margin, judged)) in range.zip(self.margins.iter().zip(&self.judged)) {
            let row = rows.row(index);
            let Judged { probability, band, .. } = *judged;
            self.json.clear();
            prepared.template.begin(&mut self.json, self.partition, &row, margin, probability, band);
            if let Some(effects) = judged.explain.then(|| effects.next()).flatten() {
                let signals = &prepared.signals;
                let strongest = signals.strongest(effects, REASONS, &mut self.strongest);
                let names = bundle.feature_names();
                prepared.template.reasons(&mut self.json, names, row.features, signals, strongest);
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

    /// Calibrates the margins of a range of rows, notes the bands in the users' states, and gathers the rows to explain, so
    /// that they are explained together.
    fn judge(
        &mut self,
        bundle: &Bundle,
        shadow: Shadow,
        rows: &Rows,
        range: std::ops::Range<usize>,
        users: &mut UserStore,
    ) {
        self.judged.clear();
        self.explained.clear();
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
            if explain {
                self.explained.extend_from_slice(row.features);
            }
            self.judged.push(Judged { probability, band, explain });
        }
    }

    fn prepare(&mut self, bundle: &Arc<Bundle>) -> usize {
        if let Some(at) = self.prepared.iter().position(|p| Arc::ptr_eq(&p.bundle, bundle)) {
            return at;
        }
        self.prepared.push(Prepared {
            bundle: Arc::clone(bundle),
            template: ScoreTemplate::new(bundle, &self.entity_type),
            shap: Shap::new(bundle.model()),
            signals: Signals::of(bundle),
            scratch: bundle.predictor().scratch(),
        });
        self.prepared.len() - 1
    }
}
