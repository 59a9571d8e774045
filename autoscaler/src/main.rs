//! The command `autoscaler`: parses, builds, runs and drains.

use std::process::ExitCode;

use autoscaler::cli::Arguments;
use autoscaler::{AutoscalerError, AutoscalerOptions, Surroundings, become_command};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};
use partition_log::LogOptions;
use telemetry::{LogFormat, LogTo, init_tracing};

fn main() -> ExitCode {
    if let Some(failed) = become_command() {
        return failed;
    }
    let arguments = Arguments::parse();
    let options = match arguments.options() {
        Ok(options) => options,
        Err(wrong) => Arguments::command().error(ErrorKind::ValueValidation, wrong).exit(),
    };
    match run(&arguments, &options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("autoscaler: {}", telemetry::in_words(error.as_ref()));
            let refused = matches!(error.downcast_ref(), Some(AutoscalerError::Refused { .. }));
            if refused { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn run(arguments: &Arguments, options: &AutoscalerOptions) -> anyhow::Result<()> {
    let format = if arguments.log_json { LogFormat::Json } else { LogFormat::Plain };
    init_tracing(format, LogTo::Stderr)?;
    let log = partition_log::open(&arguments.from, &LogOptions::default())?;
    autoscaler::run(options, log.as_ref(), &Surroundings::new())?;
    Ok(())
}
