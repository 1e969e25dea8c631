//! The name, symbol and colour of each job state.

use sentinel_client::proto::jobs::v1::JobState;

/// How a job state is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StateStyle {
    /// The lower-case name, which `--state` also accepts.
    pub(super) name: &'static str,
    /// One column wide, so that states differ without colours.
    pub(super) symbol: char,
    pub(super) color: TextColor,
}

/// Colours that every terminal theme has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextColor {
    Gray,
    Blue,
    Cyan,
    Yellow,
    Green,
    Red,
    Magenta,
}

/// All states, in the order in which a job can pass through them.
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

/// Returns the style of a state.
pub(super) fn style(state: JobState) -> StateStyle {
    let (name, symbol, color) = match state {
        JobState::Unspecified => ("unknown", '?', TextColor::Gray),
        JobState::Scheduled => ("scheduled", '◷', TextColor::Blue),
        JobState::Blocked => ("blocked", '⧗', TextColor::Magenta),
        JobState::Ready => ("ready", '○', TextColor::Cyan),
        JobState::Running => ("running", '▶', TextColor::Yellow),
        JobState::Succeeded => ("succeeded", '✔', TextColor::Green),
        JobState::Failed => ("failed", '✘', TextColor::Red),
        JobState::Cancelled => ("cancelled", '⊘', TextColor::Gray),
        JobState::Expired => ("expired", '⌛', TextColor::Magenta),
    };
    StateStyle { name, symbol, color }
}

/// Returns the state with this name, in any case and also as the protocol spells it
/// (`JOB_STATE_READY`).
pub(super) fn state_by_name(name: &str) -> Option<JobState> {
    let name = name.to_ascii_lowercase();
    let name = name.strip_prefix("job_state_").unwrap_or(&name);
    STATES.into_iter().find(|state| style(*state).name == name)
}

impl TextColor {
    fn sgr_code(self) -> u8 {
        match self {
            TextColor::Gray => 90,
            TextColor::Red => 31,
            TextColor::Green => 32,
            TextColor::Yellow => 33,
            TextColor::Blue => 34,
            TextColor::Magenta => 35,
            TextColor::Cyan => 36,
        }
    }

    /// Returns the text with ANSI escapes when `enabled`, else unchanged.
    pub(super) fn paint(self, text: &str, enabled: bool) -> String {
        if !enabled {
            return text.to_owned();
        }
        format!("\u{1b}[{}m{text}\u{1b}[0m", self.sgr_code())
    }

    /// The colour for a table cell. Tables add the escapes themselves, because they measure the
    /// text.
    pub(super) fn cell_color(self) -> comfy_table::Color {
        match self {
            TextColor::Gray => comfy_table::Color::DarkGrey,
            TextColor::Red => comfy_table::Color::DarkRed,
            TextColor::Green => comfy_table::Color::DarkGreen,
            TextColor::Yellow => comfy_table::Color::DarkYellow,
            TextColor::Blue => comfy_table::Color::DarkBlue,
            TextColor::Magenta => comfy_table::Color::DarkMagenta,
            TextColor::Cyan => comfy_table::Color::DarkCyan,
        }
    }
}
