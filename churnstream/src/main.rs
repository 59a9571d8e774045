//! The command `churnstream`: hands over to the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    churnstream::main()
}
