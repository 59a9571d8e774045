//! The command `churnstream`: demo, init, train, features, scores and the rest.
//!
//! Thin: each command parses, calls the crate that does the work, and prints. What two commands share stands here.

/// As the standard one, but a reader who has seen enough (`| head`) is no error: what is left to say is left out.
macro_rules! println {
    () => { $crate::print_line(format_args!("")) };
    ($($text:tt)*) => { $crate::print_line(format_args!($($text)*)) };
}

mod cli;
pub mod commands;
pub mod demo;
mod mlflow;
pub mod tables;
pub mod training;
pub mod walk;

pub use cli::main;

fn print_line(text: std::fmt::Arguments<'_>) {
    use std::io::Write as _;
    // Ids and values come from outside.
    let text = text.to_string();
    match writeln!(std::io::stdout().lock(), "{}", telemetry::plain(&text)) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("churnstream: the output cannot be written: {error}");
            std::process::exit(1);
        }
        _ => {}
    }
}
