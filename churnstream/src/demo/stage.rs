//! What the demo is shown on: a screen where there is a terminal, lines where there is none.

use std::time::{Duration, Instant};

use telemetry::Shutdown;

use super::view::{DemoState, Key, Phase, PlainView, Screen};

/// How often a full screen is drawn.
const DRAW: Duration = Duration::from_millis(250);
/// How often a line is printed.
const LINE: Duration = Duration::from_secs(3);

/// Shows the demo's state as it changes.
pub(super) struct Stage {
    screen: Option<Screen>,
    plain: PlainView,
    begun: Instant,
    phase_begun: Instant,
    shutdown: Shutdown,
    /// What is shown.
    pub(super) state: DemoState,
}

impl Stage {
    /// How many phases the demo has.
    pub(super) const PHASES: u32 = 4;

    pub(super) fn open(plain: bool, shutdown: Shutdown) -> std::io::Result<Self> {
        let screen = if plain { None } else { Screen::open()? };
        let begun = Instant::now();
        let plain = PlainView::new(LINE);
        Ok(Self { screen, plain, begun, phase_begun: begun, shutdown, state: DemoState::default() })
    }

    /// Begins a phase.
    pub(super) fn phase(&mut self, number: u32, name: &str) -> std::io::Result<()> {
        self.phase_begun = Instant::now();
        self.state.phase =
            Phase { name: name.to_owned(), number, of: Self::PHASES, progress: None, eta: None };
        self.show()
    }

    /// Says how much of the phase is done, 0 to 1; the rest is taken to go on at the same pace.
    pub(super) fn progress(&mut self, done: f64) {
        let done = done.clamp(0.0, 1.0);
        self.state.phase.progress = Some(done);
        let spent = self.phase_begun.elapsed();
        self.state.phase.eta = (done > 0.02).then(|| spent.mul_f64((1.0 - done) / done));
    }

    /// Shows the state, and hears whether the user wants to stop.
    pub(super) fn show(&mut self) -> std::io::Result<()> {
        self.state.elapsed = self.begun.elapsed();
        match &mut self.screen {
            Some(screen) => {
                screen.draw(&self.state)?;
                if screen.key(Duration::ZERO)? == Some(Key::Stop) {
                    if self.shutdown.is_requested() {
                        Screen::give_back();
                        std::process::exit(130);
                    }
                    self.shutdown.request("key");
                }
            }
            None => {
                if let Some(line) = self.plain.next_line(&self.state) {
                    eprintln!("{line}");
                }
            }
        }
        Ok(())
    }

    /// Waits until the next drawing is due, or the demo is to stop. Returns whether it is to stop.
    pub(super) fn wait(&self) -> bool {
        self.shutdown.wait_timeout(DRAW)
    }

    /// How long the demo has run.
    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}
