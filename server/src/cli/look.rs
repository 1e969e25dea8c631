//! How a state looks: one total map, so that a new state can not be shown two ways.

use sentinel_client::proto::jobs::v1::JobState;

/// How a state looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// As people write it, also in `--state`.
    pub(super) word: &'static str,
    /// One column wide, so that a state can be told without colours.
    pub(super) mark: char,
    /// On a terminal.
    pub(super) hue: Hue,
}

/// Colours that every terminal theme has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hue {
    Gray,
    Blue,
    Cyan,
    Yellow,
    Green,
    Red,
    Magenta,
}

/// All states in the order of a job's life.
pub(super) const STATES: [JobState; 8] = [
    JobState::Scheduled,
    JobState::Blocked,
    JobState::Ready,
    JobState::Running,
    JobState::Succeeded,
    JobState::Failed,
    JobState::Cancelled,
    JobState::Expired,
];

/// How a state looks.
pub(super) fn look(state: JobState) -> Look {
    let (word, mark, hue) = match state {
        JobState::Unspecified => ("unknown", '?', Hue::Gray),
        JobState::Scheduled => ("scheduled", '◷', Hue::Blue),
        JobState::Blocked => ("blocked", '⧗', Hue::Magenta),
        JobState::Ready => ("ready", '○', Hue::Cyan),
        JobState::Running => ("running", '▶', Hue::Yellow),
        JobState::Succeeded => ("succeeded", '✔', Hue::Green),
        JobState::Failed => ("failed", '✘', Hue::Red),
        JobState::Cancelled => ("cancelled", '⊘', Hue::Gray),
        JobState::Expired => ("expired", '⌛', Hue::Magenta),
    };
    Look { word, mark, hue }
}

/// The state that a word names; the names of the protocol are understood too.
pub(super) fn state_of(word: &str) -> Option<JobState> {
    let word = word.to_ascii_lowercase();
    let word = word.strip_prefix("job_state_").unwrap_or(&word);
    STATES.into_iter().find(|state| look(*state).word == word)
}

impl Hue {
    fn sgr(self) -> u8 {
        match self {
            Hue::Gray => 90,
            Hue::Red => 31,
            Hue::Green => 32,
            Hue::Yellow => 33,
            Hue::Blue => 34,
            Hue::Magenta => 35,
            Hue::Cyan => 36,
        }
    }

    /// The text in this colour, where colours are shown.
    pub(super) fn paint(self, text: &str, colors: bool) -> String {
        if !colors {
            return text.to_owned();
        }
        format!("\u{1b}[{}m{text}\u{1b}[0m", self.sgr())
    }

    /// For cells of tables, which measure their text themselves.
    pub(super) fn cell(self) -> comfy_table::Color {
        match self {
            Hue::Gray => comfy_table::Color::DarkGrey,
            Hue::Red => comfy_table::Color::DarkRed,
            Hue::Green => comfy_table::Color::DarkGreen,
            Hue::Yellow => comfy_table::Color::DarkYellow,
            Hue::Blue => comfy_table::Color::DarkBlue,
            Hue::Magenta => comfy_table::Color::DarkMagenta,
            Hue::Cyan => comfy_table::Color::DarkCyan,
        }
    }
}
