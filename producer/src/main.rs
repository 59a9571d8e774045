//! The binary `producer`: parses its arguments, runs one command, says how it went.

use std::process::ExitCode;

use clap::Parser;
use producer::Surroundings;
use producer::cli::{Cli, Command, OutputArgs};
use telemetry::{LogFormat, LogTo, Server, Shutdown};

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
                eprintln!("{summary}");
            }
        }
        Command::Import(args) => {
            let _server = serve(&args.output, &around)?;
            let summary = producer::import::run(&args, &around)?;
            if args.output.json {
                println!("{}", serde_json::to_string(&summary)?);
            } else {
                eprintln!("{summary}");
            }
        }
    }
    Ok(())
}

/// Serves numbers and health where that is asked for, until the command ends.
fn serve(output: &OutputArgs, around: &Surroundings) -> std::io::Result<Option<Server>> {
    output.http.map(|address| around.serve(address)).transpose()
}
