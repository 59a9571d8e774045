//! Processes that do not outlive the one that started them, however that ends.
//!
//! On Linux a process can ask to be told of its parent's death, but only for itself. So this program is started first, asks, and then
//! becomes the command. On other systems a process whose autoscaler was killed lives on; what it holds (its store) tells the next
//! autoscaler's process that it does.

use std::ffi::OsString;
use std::process::ExitCode;

#[cfg(target_os = "linux")]
const FLAG: &str = "--bound-to";

/// What is to stand before the command of a process that this process starts on its main thread.
#[must_use]
pub(crate) fn prefix() -> Vec<OsString> {
    #[cfg(target_os = "linux")]
    return vec!["/proc/self/exe".into(), FLAG.into(), std::process::id().to_string().into()];
    #[cfg(not(target_os = "linux"))]
    return Vec::new();
}

/// Becomes the command behind the prefix, if this process was started with it, and returns only if it cannot: with exit code 2
/// where there is no such program. `None` for a process that was started by somebody else.
#[must_use]
pub fn become_command() -> Option<ExitCode> {
    #[cfg(target_os = "linux")]
    return linux::become_command();
    #[cfg(not(target_os = "linux"))]
    return None;
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, Write as _};
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, ExitCode};

    use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

    pub(super) fn become_command() -> Option<ExitCode> {
        let mut words = std::env::args_os().skip(1);
        if words.next()? != super::FLAG {
            return None;
        }
        let parent = words.next()?.to_str()?.parse().ok().and_then(Pid::from_raw)?;
        let program = words.next()?;
        // Told to stop, it commits before it ends.
        if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
            eprintln!("autoscaler: a process may outlive it: {error}");
        }
        // One that ended before it was asked to say so has said nothing.
        if getppid() != Some(parent) {
            return Some(ExitCode::FAILURE);
        }
        let error = Command::new(&program).args(words).exec();
        // In one piece: the autoscaler writes to the same place.
        let said = format!("autoscaler: cannot run {}: {error}\n", program.display());
        _ = io::stderr().write_all(said.as_bytes());
        let hopeless = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied);
        Some(if hopeless { ExitCode::from(2) } else { ExitCode::FAILURE })
    }
}
