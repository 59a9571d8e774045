//! Taking the terminal, and giving it back whatever happens.

use std::io::{self, IsTerminal as _, Stderr, Write as _};
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute};

use super::{DemoState, Palette, draw};

/// The whole terminal, on standard error, since standard output belongs to results. Dropping it gives the terminal back; so
/// does a panic.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    palette: Palette,
}

/// What was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Ctrl-C, `q` or Escape. While the screen is taken Ctrl-C is a key and no signal.
    Stop,
}

impl Screen {
    /// Takes the terminal; `None` if standard error is none, or one that cannot be drawn on (`TERM=dumb`).
    ///
    /// # Errors
    /// If the terminal refuses.
    pub fn open() -> io::Result<Option<Self>> {
        let drawable = std::env::var_os("TERM").is_some_and(|term| term != "dumb" && !term.is_empty());
        if !io::stderr().is_terminal() || !drawable {
            return Ok(None);
        }
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            Self::give_back();
            before(panic);
        }));
        enable_raw_mode()?;
        let terminal = execute!(io::stderr(), EnterAlternateScreen, cursor::Hide)
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stderr())))
            .inspect_err(|_| Self::give_back())?;
        Ok(Some(Self { terminal, palette: Palette::from_env() }))
    }

    /// Draws the state.
    ///
    /// # Errors
    /// If the terminal cannot be written.
    pub fn draw(&mut self, state: &DemoState) -> io::Result<()> {
        self.terminal.draw(|frame| draw(frame, state, self.palette))?;
        Ok(())
    }

    /// What was typed since the last call, waiting for at most `wait`.
    ///
    /// # Errors
    /// If the terminal cannot be read.
    pub fn key(&mut self, wait: Duration) -> io::Result<Option<Key>> {
        if !event::poll(wait)? {
            return Ok(None);
        }
        let Event::Key(key) = event::read()? else { return Ok(None) };
        let stop = match key.code {
            KeyCode::Char('c') => key.modifiers.contains(KeyModifiers::CONTROL),
            KeyCode::Char('q') | KeyCode::Esc => true,
            _ => false,
        };
        Ok(stop.then_some(Key::Stop))
    }

    /// Gives the terminal back as it was, from any thread: for the moment before the process ends at once. Failures are
    /// passed over, since nothing is left to be done about them.
    pub fn give_back() {
        let _ = disable_raw_mode();
        let _ = execute!(io::stderr(), LeaveAlternateScreen, cursor::Show);
        let _ = io::stderr().flush();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        Self::give_back();
    }
}
