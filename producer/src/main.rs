//! The binary `producer`: parses its arguments, runs one command, says how it went.

use std::process::ExitCode;

use clap::Parser;
use producer::cli::{Cli, Command};
use telemetry::{LogFormat, LogTo, Shutdown};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("producer: {}", telemetry::in_words(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    telemetry::init_tracing(LogFormat::Plain, LogTo::Stderr)?;
    let shutdown = Shutdown::new();
    shutdown.listen(|| {})?;
    match cli.command {
        Command::Simulate(args) => {
            let summary = producer::simulate::run(&args, &shutdown)?;
            if args.output.json {
                println!("{}", serde_json::to_string(&summary)?);
            }
            if !summary.complete {
                eprintln!("stopped at the end of a batch; the same command goes on from there");
            }
        }
        Command::Import(args) if args.rejected => {
            let summary = producer::import::run_mend(&args, &shutdown)?;
            if args.output.json {
                println!("{}", serde_json::to_string(&summary)?);
            } else {
                eprintln!("{summary}");
            }
        }
        Command::Import(args) => {
            let summary = producer::import::run(&args, &shutdown)?;
            if args.output.json {
                println!("{}", serde_json::to_string(&summary)?);
            } else {
                eprintln!("{summary}");
            }
        }
    }
    Ok(())
}
