//! Scores for the rows of a table, block by block: memory does not grow with the table.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::Context;
use csv::Writer;
use scorer::{Bundle, Shap, Signals};
use serde::Serialize;
use table::{Encoder, Next, Note, Record, Table};

use super::Rejects;
use super::train::schema_of;

/// Rows that are scored together.
const BLOCK: usize = 4_096;
/// Bytes of the longest id: a block's ids are in memory together.
const ID_BYTES: usize = 1_000;
/// The most different unseen categories that are counted for a column; the others are counted together.
const UNSEEN_SHOWN: usize = 20;

/// What a scoring came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ScoreReport {
    /// The bundle's hash.
    pub bundle: String,
    /// Rows in the table.
    pub rows: u64,
    /// Rows scored.
    pub scored: u64,
    /// Scored rows by band.
    pub bands: BTreeMap<&'static str, u64>,
    /// Rows that could not be scored.
    pub rejected: u64,
    /// The file that they are in.
    pub rejects: Option<PathBuf>,
    /// Columns of the model that the table does not have: missing in every row.
    pub absent_columns: Vec<String>,
    /// Columns of the table that the model does not use.
    pub unused_columns: Vec<String>,
    /// Rows without a value, by column.
    pub missing: BTreeMap<String, u64>,
    /// Rows with a category that training has not seen, by column and category.
    pub unseen: BTreeMap<String, BTreeMap<String, u64>>,
}

/// Scores a table and writes a CSV file: the id (or the row's number), the probability, the band, what of the row could not be made use of, and
/// so many `reasons`, strongest first, if any are asked for. Rows that cannot be scored go to `rejects`. `progress` is told the rows
/// read.
///
/// # Errors
/// If a file cannot be read or written, the bundle is not of a table, or the table has none of its columns.
pub fn score(
    bundle: &Bundle,
    input: &Path,
    output: &Path,
    rejects: &Path,
    reasons: usize,
    mut progress: impl FnMut(u64),
) -> anyhow::Result<ScoreReport> {
    let schema = schema_of(bundle)?.with_context(|| {
        format!(
            "{} is a model of events, not of a table: `consumer` scores with it, and `churnstream scores export` writes the scores",
            bundle.path().display()
        )
    })?;
    let mut table = Table::open(input)?;
    let encoder = Encoder::new(&schema, &table);
    let absent = encoder.absent();
    anyhow::ensure!(
        absent.len() < schema.columns.len(),
        "{} has none of the columns that the model was trained on: {}",
        input.display(),
        absent.join(", ")
    );
    let is_used = |name: &String| {
        schema.id.as_ref() == Some(name)
            || *name == schema.label
            || schema.columns.iter().any(|c| c.name == *name)
    };
    let mut report = ScoreReport {
        bundle: bundle.hash().to_owned(),
        absent_columns: absent.iter().map(|name| (*name).to_owned()).collect(),
        unused_columns: table.columns().iter().filter(|name| !is_used(name)).cloned().collect(),
        ..ScoreReport::default()
    };
    let failed = || format!("writing {}", output.display());
    let mut out = Writer::from_writer(BufWriter::new(File::create(output).with_context(failed)?));
    let id_name = schema.id.as_deref().filter(|_| encoder.has_id()).unwrap_or("row");
    let mut explainer = (reasons > 0).then(|| Explainer::new(bundle, reasons));
    let names = [id_name, "probability", "band", "remarks"].into_iter();
    out.write_record(names.chain(explainer.as_ref().map(|_| "reasons"))).with_context(failed)?;

    let mut rejects = Rejects::new(rejects);
    let mut block = Block::default();
    let mut scratch = bundle.predictor().scratch();
    let mut record = Record::default();
    let mut notes = Vec::new();
    loop {
        let next = table.next(&mut record)?;
        if block.ids.len() == BLOCK || next == Next::End {
            block
                .write(bundle, &mut scratch, explainer.as_mut(), &mut out, &mut report)
                .with_context(failed)?;
        }
        match next {
            Next::End => break,
            Next::Rejected { row, reason, original } => rejects.add(row, &reason, &original)?,
            Next::Row(row) => {
                notes.clear();
                let id = if encoder.has_id() { encoder.id(&record) } else { Some(row.to_string()) };
                let encoded = match &id {
                    None => Err(format!("the id `{id_name}` is missing")),
                    Some(id) if id.len() > ID_BYTES => Err(format!(
                        "the id `{id_name}` has {} bytes; at most {ID_BYTES} are taken",
                        id.len()
                    )),
                    Some(_) => encoder.encode(&record, &mut block.values, &mut notes),
                };
                match encoded {
                    Err(reason) => rejects.add(row, &reason, &record.shown())?,
                    Ok(()) => {
                        block.ids.extend(id);
                        block.remarks.push(remark(&schema, &notes, &mut report));
                    }
                }
            }
        }
        report.rows += 1;
        if report.rows.is_multiple_of(BLOCK as u64) {
            progress(report.rows);
        }
    }
    out.flush().with_context(failed)?;
    report.rejected = rejects.count();
    report.rejects = rejects.finish()?;
    Ok(report)
}

/// Rows on their way to the predictor.
#[derive(Default)]
struct Block {
    ids: Vec<String>,
    values: Vec<f32>,
    remarks: Vec<String>,
    margins: Vec<f32>,
}

impl Block {
    fn write(
        &mut self,
        bundle: &Bundle,
        scratch: &mut scorer::Scratch,
        mut explainer: Option<&mut Explainer>,
        out: &mut Writer<BufWriter<File>>,
        report: &mut ScoreReport,
    ) -> Result<(), csv::Error> {
        self.margins.clear();
        self.margins.resize(self.ids.len(), 0.0);
        bundle.predictor().margins(&self.values, &mut self.margins, scratch);
        let rows = self.ids.iter().map(String::as_str).zip(self.remarks.iter().map(String::as_str));
        if let Some(explainer) = &mut explainer {
            explainer.explain(&self.values);
        }
        for (row, ((id, remark), margin)) in rows.zip(&self.margins).enumerate() {
            let probability = bundle.probability(*margin);
            let band = bundle.band(probability).name();
            let (probability, reasons) = (
                probability.to_string(),
                explainer.as_ref().map(|explainer| explainer.words(&self.values, row)),
            );
            out.write_record([id, probability.as_str(), band, remark].into_iter().chain(reasons.as_deref()))?;
            *report.bands.entry(band).or_default() += 1;
            report.scored += 1;
        }
        self.ids.clear();
        self.values.clear();
        self.remarks.clear();
        Ok(())
    }
}

/// Says why scores are what they are.
struct Explainer {
    shap: Shap,
    signals: Signals,
    most: usize,
    /// The effects of the block's rows.
    effects: Vec<f32>,
}

impl Explainer {
    fn new(bundle: &Bundle, most: usize) -> Self {
        Self { shap: Shap::new(bundle.model()), signals: Signals::of(bundle), most, effects: Vec::new() }
    }

    fn explain(&mut self, values: &[f32]) {
        self.effects.clear();
        self.effects.resize(values.len(), 0.0);
        self.shap.explain_batch(values, &mut self.effects);
    }

    /// The reasons of a row of the block that was explained.
    fn words(&self, values: &[f32], row: usize) -> String {
        let width = self.signals.features();
        let part = row * width..(row + 1) * width;
        let reasons = self.signals.reasons(&values[part.clone()], &self.effects[part], self.most);
        reasons.iter().map(scorer::words).collect::<Vec<_>>().join("; ")
    }
}

/// What of a row could not be made use of, in words, counted in the report too.
fn remark(schema: &table::Schema, notes: &[(usize, Note)], report: &mut ScoreReport) -> String {
    let mut words = Vec::with_capacity(notes.len());
    for (at, note) in notes {
        let column = &schema.columns[*at].name;
        match note {
            Note::Missing => {
                *report.missing.entry(column.clone()).or_default() += 1;
                words.push(format!("{column} is missing"));
            }
            Note::Unseen(value) => {
                let of = report.unseen.entry(column.clone()).or_default();
                let shown: String = value.chars().take(60).collect();
                let known = of.contains_key(&shown) || of.len() < UNSEEN_SHOWN;
                *of.entry(if known { shown.clone() } else { "(others)".to_owned() }).or_default() += 1;
                words.push(format!("{column} is `{shown}`, which training has not seen"));
            }
        }
    }
    words.join("; ")
}
