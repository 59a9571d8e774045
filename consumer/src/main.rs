//! The command `consumer`: parses, builds, runs and drains.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use consumer::Surroundings;
use consumer::cli::Arguments;
use telemetry::{LogFormat, LogTo, init_tracing};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("consumer: {}", telemetry::in_words(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let format = if arguments.log_json { LogFormat::Json } else { LogFormat::Plain };
    init_tracing(format, LogTo::Stderr)?;
    let around = Surroundings::new();
    around.shutdown.listen(|| {}).context("listen to signals")?;
    let mut log = partition_log::open(&arguments.from, &arguments.writing.options(&arguments.from)?)?;
    consumer::end_without_brokers(&log, &arguments.topic, &around, |code| {
        std::process::exit(code.into());
    })
    .context("start a thread")?;
    if let Some(map) = &arguments.map {
        let (topic, registry) = (&arguments.topic, arguments.schema_registry.as_deref());
        log =
            producer::foreign::through_map(log, topic, map, registry, Some(&around.metrics), Duration::ZERO)?;
    }
    let status = consumer::run(&arguments.options(), &log, &around)?;
    if arguments.json {
        println!("{}", serde_json::to_string(&status)?);
    } else {
        let rejected: u64 = status.rejected.iter().map(|(_, n)| n).sum();
        eprintln!(
            "{} records processed, {} scores, {rejected} dead letters in {:.1} s",
            status.processed, status.scores, status.uptime_seconds
        );
    }
    Ok(())
}
