//! What can be asked for on the command line.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Real-time churn intelligence over partitioned event logs.
///
/// Events go in by `producer`, scores come out by `consumer`; this is everything around the two.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:
  churnstream train --from file:log --features spec.toml \\
      --labels labels.toml --to model
  churnstream backtest --from file:log --model model --labels labels.toml \\
      --report report
  churnstream train --table customers.csv --label churned --id customer \\
      --to model
  churnstream score --model model --in customers.csv --out scores.csv
  churnstream scores tail --from file:log
  churnstream features get u000042 --store state
  churnstream doctor --from kafka:localhost:9092

Kafka: TLS, user and password are settings of librdkafka, as all others that you want changed. They stand in a file of
lines `setting=value` that CHURNSTREAM_KAFKA_CONFIG names, or in variables: CHURNSTREAM_KAFKA_SASL_PASSWORD is
sasl.password. Those that would break a promise are refused.

Exit codes: 0 done, 1 failed, 2 wrong arguments."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Simulate a service, train on it, stream new days through the pool, and watch.
    Demo(crate::commands::demo::Demo),
    /// Draft a map, a spec and labels from a sample of your events.
    Init(crate::commands::init::InitArgs),
    /// Fit a model bundle from a log, or from a customer table.
    Train(crate::commands::train::Train),
    /// Judge a model bundle on the part of a log that it was not made with.
    Backtest(crate::commands::backtest::Backtest),
    /// Suggest what to do about which user, by rules.
    Actions(crate::commands::actions::Actions),
    /// Make labelled rows for other tools.
    #[command(subcommand)]
    Rows(crate::commands::rows::RowsCommand),
    /// Score the customers of a table.
    Score(crate::commands::score::Score),
    /// Look into a log, check it, redrive dead letters, copy it into other partitions, remove what is old.
    #[command(subcommand)]
    Log(crate::commands::log::LogCommand),
    /// Read a user's features, live or as of a past moment.
    #[command(subcommand)]
    Features(crate::commands::features::Features),
    /// Follow or export scores.
    #[command(subcommand)]
    Scores(crate::commands::scores::Scores),
    /// See whether the users are still those that the model was trained on.
    Drift(crate::commands::drift::DriftCommand),
    /// See on which days the mix or the volume of events changed; needs no model.
    Incidents(crate::commands::incidents::Incidents),
    /// Train on the newest labels and promote through the gates: once, on a schedule, or on drift.
    Retrain(crate::commands::retrain::Retrain),
    /// List, show, promote, compare and roll back model bundles in a registry.
    #[command(subcommand)]
    Models(crate::commands::models::Models),
    /// Erase a user from state, reads and scores.
    Forget(crate::commands::forget::Forget),
    /// Check a log: reachability, rights, topics and their settings, clocks, dead letters, lag.
    Doctor(crate::commands::doctor::Doctor),
    /// Throw the state away so that it is made anew from the log.
    Rebuild(crate::commands::rebuild::Rebuild),
    /// Print completions for a shell: churnstream completions bash consumer > /etc/bash_completion.d/consumer
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
        /// Of which program.
        #[arg(default_value = "churnstream")]
        program: Program,
    },
}

/// The programs that completions are for.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Program {
    Churnstream,
    Producer,
    Consumer,
    Autoscaler,
}

impl Program {
    fn command(self) -> clap::Command {
        match self {
            Self::Churnstream => Arguments::command(),
            Self::Producer => producer::cli::Cli::command(),
            Self::Consumer => consumer::cli::Arguments::command(),
            Self::Autoscaler => autoscaler::cli::Arguments::command(),
        }
    }
}

/// Parses the arguments, runs the command, says what went wrong.
#[must_use]
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Log(command) => match crate::commands::log::run(&command, &mut std::io::stdout().lock()) {
            Ok(code) => return code,
            Err(error) => heard_enough(error),
        },
        Command::Doctor(command) => {
            // It only prints, unless it is asked for more: what librdkafka says of a connection that fails is in the log alone.
            if std::env::var_os("RUST_LOG").is_some_and(|filter| !filter.is_empty())
                && let Err(error) =
                    telemetry::init_tracing(telemetry::LogFormat::Plain, telemetry::LogTo::Stderr)
            {
                eprintln!("churnstream: {error}");
                return ExitCode::FAILURE;
            }
            match crate::commands::doctor::run(&command, &mut std::io::stdout().lock()) {
                Ok(code) => return code,
                Err(error) => heard_enough(error),
            }
        }
        Command::Demo(command) => command.run(),
        Command::Init(arguments) => crate::commands::init::run(&arguments),
        Command::Train(command) => command.run(),
        Command::Backtest(command) => command.run(),
        Command::Actions(command) => command.run(),
        Command::Rows(command) => command.run(),
        Command::Score(command) => command.run(),
        Command::Features(command) => command.run(),
        Command::Scores(command) => command.run().or_else(heard_enough),
        Command::Drift(command) => command.run(),
        Command::Incidents(command) => command.run(),
        Command::Retrain(command) => command.run(),
        Command::Models(command) => command.run(),
        Command::Forget(command) => command.run(),
        Command::Rebuild(command) => command.run(),
        Command::Completions { shell, program } => {
            let mut command = program.command();
            let name = command.get_name().to_owned();
            clap_complete::generate(shell, &mut command, name, &mut std::io::stdout());
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast::<clap::Error>() {
            Ok(wrong) => wrong.exit(),
            Err(error) => {
                eprintln!("churnstream: {}", telemetry::in_words(error.as_ref()));
                ExitCode::FAILURE
            }
        },
    }
}

/// Whoever reads standard output may have seen enough (`| head`): that is no failure.
fn heard_enough(error: anyhow::Error) -> anyhow::Result<()> {
    let is_broken_pipe = |cause: &(dyn std::error::Error + 'static)| {
        let io = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        let json = cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        io.or(json) == Some(std::io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(is_broken_pipe) { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    /// A line that is wrapped to the width of a terminal cannot be pasted into a shell.
    #[test]
    fn examples_fit_into_a_terminal() {
        fn look(command: &clap::Command, lines: &mut usize) {
            let texts = [command.get_after_help(), command.get_long_about(), command.get_about()];
            let text: String = texts.into_iter().flatten().map(|text| format!("{text}\n")).collect();
            let programs = ["churnstream ", "producer ", "consumer ", "autoscaler "];
            let is_example = |line: &&str| {
                line.starts_with("  ")
                    && programs.iter().any(|program| line.trim_start().starts_with(program))
            };
            for line in text.lines().filter(is_example) {
                assert!(line.chars().count() < 80, "{}: {line}", command.get_name());
                *lines += 1;
            }
            command.get_subcommands().for_each(|command| look(command, lines));
        }
        let mut lines = 0;
        Program::value_variants().iter().for_each(|program| look(&program.command(), &mut lines));
        assert!(lines > 50, "{lines} are known");
    }

    #[test]
    fn every_program_has_completions_for_every_shell() {
        for program in Program::value_variants() {
            let mut command = program.command();
            command.clone().debug_assert();
            let name = command.get_name().to_owned();
            let known = program.to_possible_value().unwrap_or_else(|| panic!("{program:?}"));
            assert_eq!(name, known.get_name());
            for shell in clap_complete::Shell::value_variants() {
                let mut script = Vec::new();
                clap_complete::generate(*shell, &mut command, &name, &mut script);
                let script = String::from_utf8_lossy(&script);
                assert!(script.contains(&name) && script.contains("help"), "{shell}");
            }
        }
    }
}
