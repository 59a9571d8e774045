//! The binary `producer`: parses its arguments, runs one command, says how it went.

use std::process::ExitCode;

use clap::Parser;
use producer::Surroundings;
use producer::cli::{Cli, Command, OutputArgs};
use telemetry::{LogFormat, LogTo, Server, Shutdown};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("producer: {}", telemetry::in_words(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// What a shell expects of a command that was interrupted.
const INTERRUPTED: u8 = 130;

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    telemetry::init_tracing(LogFormat::Plain, LogTo::Stderr)?;
    let around = Surroundings::new(Shutdown::new());
    around.shutdown.listen(|| {})?;
    match cli.command {
        Command::Simulate(args) => {
            let _server = serve(&args.output, &around)?;
            let summary = producer::simulate::run(&args, &around)?;
            if args.output.json {
                println!("{}", serde_json::to_string(&summary)?);
            }
            if !summary.complete {
                eprintln!("stopped at the end of a batch; the same command goes on from there");
            }
        }
        Command::Import(args) if args.rejected => {
            let _server = serve(&args.output, &around)?;
            let summary = producer::import::run_mend(&args, &around)?;
            if args.output.json {
                println!("{}", serde_json::to_string(&summary)?);
            } else {
                eprintln!("{}", telemetry::plain(&summary.to_string()));
            }
            if summary.stopped {
                return Ok(ExitCode::from(INTERRUPTED));
            }
        }
        Command::Import(args) => {
            let _server = serve(&args.output, &around)?;
            let summary = producer::import::run(&args, &around)?;
            if args.output.json {
                println!("{}", serde_json::to_string(&summary)?);
            } else {
                eprintln!("{}", telemetry::plain(&summary.to_string()));
                if summary.rejected_rows() > 0 {
                    eprintln!("{}", what_next(&args.output));
                }
            }
            if summary.stopped {
                return Ok(ExitCode::from(INTERRUPTED));
            }
            if summary.is_in_vain() {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Tick(args) => {
            let summary = producer::tick_until::run(&args, &around)?;
            if args.json {
                println!("{}", serde_json::to_string(&summary)?);
            } else {
                let newest = types::EventTime(summary.newest_tick).written();
                eprintln!("{} ticks written to {}; the newest is {newest}", summary.ticks, args.topic);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What can be done about rows that were rejected.
fn what_next(output: &OutputArgs) -> String {
    let mend = "mend the map and run the same command with it and --rejected";
    match output.to.starts_with("file:") {
        // What has no key is a rejected row or a tick.
        true => format!(
            "To see them: churnstream log dump {}/{} --key ''\nTo bring them in: {mend}",
            output.to, output.topic
        ),
        false => format!("To bring them in: {mend}"),
    }
}

/// Serves numbers and health where that is asked for, until the command ends.
fn serve(output: &OutputArgs, around: &Surroundings) -> std::io::Result<Option<Server>> {
    output.http.map(|address| around.serve(address)).transpose()
}
