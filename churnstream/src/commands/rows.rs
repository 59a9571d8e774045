//! `churnstream rows`: labelled rows for other tools.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use backtest::{LabelledRows, Labels, SplitPlan};
use clap::{Args, Subcommand};
use feature_store::Spec;
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, FloatType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::progress;
use crate::commands::through::Replayed;
use crate::training;

/// Makes labelled rows for other tools.
#[derive(Subcommand)]
pub(crate) enum RowsCommand {
    /// Write the rows that training and backtests use as Parquet.
    Export(Export),
}

/// Replays a log and writes labelled rows as Parquet, for pandas, Polars, DuckDB and others.
///
/// Columns: entity, as_of, decided_at, trigger, partition, position, split (train, embargo, test), weight, lost, and one for each feature;
/// null where a user has no value.
#[derive(Args)]
#[command(after_help = "Example:
  churnstream rows export --from file:log --features spec.toml \\
      --labels labels.toml --to rows.parquet")]
pub(crate) struct Export {
    /// The log: file:DIR or kafka:BROKERS.
    #[arg(long, value_name = "PLACE", value_parser = partition_log::parse_place)]
    from: String,
    /// The topic of events.
    #[arg(long, default_value = "events")]
    topic: String,
    #[command(flatten)]
    through: Replayed,
    /// The feature spec.
    #[arg(long, value_name = "SPEC.toml")]
    features: PathBuf,
    /// When a user counts as lost, and which rows are made.
    #[arg(long, value_name = "LABELS.toml")]
    labels: PathBuf,
    /// The file; must not exist yet.
    #[arg(long, value_name = "FILE.parquet")]
    to: PathBuf,
    /// Keep the columns that read events which give the label away. Otherwise they are empty.
    #[arg(long)]
    with_implying: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl RowsCommand {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let Self::Export(export) = self;
        export.run()
    }
}

impl Export {
    fn run(self) -> anyhow::Result<()> {
        let log = self.through.open(&self.from, &self.topic)?;
        let spec = Arc::new(Spec::load(&self.features)?);
        let labels = Labels::load(&self.labels)?;
        anyhow::ensure!(!self.to.exists(), "{} exists already", self.to.display());
        let bar = progress::bar(training::records(log.as_ref(), &self.topic)?, "replay");
        let rows = backtest::collect(log.as_ref(), &self.topic, &spec, &labels, |at| bar.set_position(at));
        bar.finish_and_clear();
        let mut rows = rows?;
        progress::tell(&rows.summary);
        anyhow::ensure!(!rows.is_empty(), rows.summary.why_empty(&labels));
        if !self.with_implying {
            rows.exclude();
        }
        let partial = self.to.with_extension("partial");
        write_parquet(&partial, &rows, SplitPlan::new(&labels, &rows).ok())?;
        std::fs::rename(&partial, &self.to).with_context(|| format!("write {}", self.to.display()))?;
        if self.json {
            let report = serde_json::json!({
                "rows": rows.len(),
                "lost": rows.lost.iter().filter(|lost| **lost).count(),
                "features": rows.names.len(),
                "excluded": rows.excluded_names().collect::<Vec<_>>(),
                "replay": rows.summary,
            });
            println!("{report}");
        } else {
            let lost = rows.lost.iter().filter(|lost| **lost).count();
            println!(
                "{} rows of {} features, {lost} lost, in {}",
                rows.len(),
                rows.names.len(),
                self.to.display()
            );
        }
        Ok(())
    }
}

/// Rows in a group: a few dozen megabytes.
const GROUP: usize = 100_000;

/// Writes rows to a new file. Without a plan there is no split, and the column is empty.
pub(crate) fn write_parquet(path: &Path, rows: &LabelledRows, plan: Option<SplitPlan>) -> anyhow::Result<()> {
    let mut schema = String::from(
        "message rows { required binary entity (UTF8); required int64 as_of (TIMESTAMP(MILLIS,true)); \
         required int64 decided_at (TIMESTAMP(MILLIS,true)); required binary trigger (UTF8); required int32 partition; \
         required int64 position; required binary split (UTF8); required float weight; required boolean lost;",
    );
    for name in &rows.names {
        anyhow::ensure!(
            !name.contains([' ', ';', '(', ')', '{', '}', ',', '=']) && !FIXED.contains(&name.as_str()),
            "the feature `{name}` cannot be a column of this file: rename it in the spec"
        );
        schema.push_str(&format!(" optional float {name};"));
    }
    schema.push('}');
    let schema = Arc::new(parse_message_type(&schema)?);
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?)).build();
    let file = File::create(path).with_context(|| format!("make {}", path.display()))?;
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties))?;
    for from in (0..rows.len()).step_by(GROUP) {
        let range = from..(from + GROUP).min(rows.len());
        let mut group = writer.next_row_group()?;
        let text = |text: &str| ByteArray::from(text.as_bytes().to_vec());
        put::<ByteArrayType>(&mut group, range.clone().map(|row| text(&rows.entities[row])))?;
        put::<Int64Type>(&mut group, range.clone().map(|row| rows.as_of[row].0))?;
        put::<Int64Type>(&mut group, range.clone().map(|row| rows.decided_at[row].0))?;
        put::<ByteArrayType>(&mut group, range.clone().map(|row| text(rows.trigger[row].name())))?;
        put::<Int32Type>(&mut group, range.clone().map(|row| rows.partition[row].0.cast_signed()))?;
        put::<Int64Type>(&mut group, range.clone().map(|row| rows.position[row].0.cast_signed()))?;
        let split = |row| plan.map_or("", |plan| plan.of_row(rows, row).name());
        put::<ByteArrayType>(&mut group, range.clone().map(|row| text(split(row))))?;
        put::<FloatType>(&mut group, range.clone().map(|row| rows.weight[row]))?;
        put::<BoolType>(&mut group, range.clone().map(|row| rows.lost[row]))?;
        for column in 0..rows.names.len() {
            let values: Vec<f32> = range.clone().map(|row| rows.row(row)[column]).collect();
            let levels: Vec<i16> = values.iter().map(|value| i16::from(!value.is_nan())).collect();
            let present: Vec<f32> = values.into_iter().filter(|value| !value.is_nan()).collect();
            if let Some(mut column) = group.next_column()? {
                column.typed::<FloatType>().write_batch(&present, Some(&levels), None)?;
                column.close()?;
            }
        }
        group.close()?;
    }
    writer.close()?;
    Ok(())
}

/// The names of the columns before the features.
const FIXED: [&str; 9] =
    ["entity", "as_of", "decided_at", "trigger", "partition", "position", "split", "weight", "lost"];

/// Writes the next column, which has no missing values.
fn put<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: impl Iterator<Item = T::T>,
) -> anyhow::Result<()> {
    if let Some(mut column) = group.next_column()? {
        column.typed::<T>().write_batch(&values.collect::<Vec<_>>(), None, None)?;
        column.close()?;
    }
    Ok(())
}
