//! The table of states and commands: compared with a golden file, and rendered as documentation.

use std::collections::{BTreeMap, BTreeSet};

use sentinel_domain::{Command, CommandError, Decision, State, UniqueMode, invariant};

use crate::document::{assert_current, filled};
use crate::machine::{Cell, NOW, cells, commands, situations, upper_snake_case};
use crate::unique;

fn state(state: State) -> String {
    upper_snake_case(&format!("{state:?}"))
}

fn summary(cell: &Cell) -> String {
    match &cell.result {
        Err(error) => format!("refused {error:?}"),
        Ok(Decision { job, attempt_end }) => {
            let s = &job.status;
            let due = s.ready_at - NOW;
            let recorded = s.recorded_lease != cell.before.status.recorded_lease;
            let outcome = attempt_end.as_ref().map(|end| end.outcome);
            format!(
                "{} reason={:?} run={} attempt={} crashes={} epoch={} due={due:+} cancel={} recorded={} \
                 end={}",
                state(s.state),
                s.reason,
                s.run,
                s.attempt,
                s.crashes,
                s.epoch,
                if s.cancel.is_some() { "yes" } else { "no" },
                if recorded { "yes" } else { "no" },
                outcome.map_or_else(|| "-".to_owned(), |o| format!("{o:?}")),
            )
        }
    }
}

#[test]
fn the_golden_file_of_all_states_and_commands_is_current() {
    let mut text = String::new();
    let mut situation = "";
    for cell in cells() {
        if cell.situation != situation {
            situation = cell.situation;
            text.push_str(&format!("\n# {situation}\n"));
        }
        text.push_str(&format!("{:<26} {}\n", cell.command_name, summary(&cell)));
    }
    assert_current("server/domain/tests/it/state_machine.golden", text.trim_start());
}

/// Returns the name of a command. A new command does not compile until it is added to the table.
fn command_name(command: &Command) -> &'static str {
    match command {
        Command::Promote => "Promote",
        Command::Expire => "Expire",
        Command::Start { .. } => "Start",
        Command::NotReceived { .. } => "NotReceived",
        Command::Succeed { .. } => "Succeed",
        Command::Fail { .. } => "Fail",
        Command::Snooze { .. } => "Snooze",
        Command::Release { .. } => "Release",
        Command::Stop { .. } => "Stop",
        Command::Checkpoint { .. } => "Checkpoint",
        Command::Cancel { .. } => "Cancel",
        Command::Revoke => "Revoke",
        Command::MarkLost { .. } => "MarkLost",
        Command::TimeOut { .. } => "TimeOut",
        Command::Unblock { .. } => "Unblock",
        Command::Replace => "Replace",
        Command::Retry => "Retry",
        Command::RunNow => "RunNow",
        Command::Update { .. } => "Update",
        Command::Delete => "Delete",
    }
}

#[test]
fn the_table_has_every_state_command_and_error() {
    let all = situations();
    let states: BTreeSet<State> = all.iter().map(|s| s.job.status.state).collect();
    assert_eq!(states.len(), State::ALL.len());
    let commands = commands(all[0].lease, &all[0].job);
    let names: BTreeSet<&str> = commands.iter().map(|q| command_name(&q.command)).collect();
    assert_eq!(names.len(), 20);
    assert!(commands.iter().all(|q| q.name.starts_with(command_name(&q.command))));
    let errors: BTreeSet<String> =
        cells().iter().filter_map(|c| c.result.as_ref().err()).map(|r| format!("{r:?}")).collect();
    assert_eq!(errors, ERRORS.iter().map(|r| format!("{r:?}")).collect());
}

const ERRORS: [CommandError; 13] = [
    CommandError::Fenced,
    CommandError::Duplicate,
    CommandError::AlreadyTerminal,
    CommandError::NotTerminal,
    CommandError::CancelAlreadyRequested,
    CommandError::NotDue,
    CommandError::NotWaitingFor,
    CommandError::WrongState,
    CommandError::CheckpointTooLarge,
    CommandError::NotScheduled,
    CommandError::AlreadyStarted,
    CommandError::StillRunning,
    CommandError::Deleted,
];

#[test]
fn no_command_violates_an_invariant() {
    for cell in cells() {
        assert_eq!(invariant::violated(&cell.before), [""; 0], "{}", cell.situation);
        if let Ok(decision) = &cell.result {
            let name = format!("{} / {}", cell.situation, cell.command_name);
            assert_eq!(invariant::violated(&decision.job), [""; 0], "{name}");
            assert_eq!(
                invariant::violated_transition(&cell.before, &decision.job),
                [""; 0],
                "{name}"
            );
        }
    }
}

/// Returns the state diagram: all transitions of the table.
fn diagram(cells: &[Cell]) -> String {
    let mut edges: BTreeMap<(State, State), Vec<&str>> = BTreeMap::new();
    for cell in cells {
        let Ok(decision) = &cell.result else { continue };
        let edge = edges.entry((cell.from, decision.job.status.state)).or_default();
        if !edge.contains(&cell.command_name) {
            edge.push(cell.command_name);
        }
    }
    let mut text = String::from("```mermaid\nstateDiagram-v2\n");
    for initial in [State::Scheduled, State::Blocked, State::Ready, State::Cancelled] {
        text.push_str(&format!("    [*] --> {}: enqueue\n", state(initial)));
    }
    for ((from, to), commands) in edges {
        // A variant of a command is shown only if the plain command has no such transition.
        let plain = |name: &str| name.split(',').next().map(str::to_owned);
        let is_shown = |q: &&&str| {
            !q.contains(',') || !commands.iter().any(|c| plain(q).as_deref() == Some(c))
        };
        let shown: Vec<String> = commands
            .iter()
            .filter(is_shown)
            .map(|q| match q.split_once(", ") {
                Some((command, variant)) => format!("{command} ({variant})"),
                None => (*q).to_owned(),
            })
            .collect();
        let commands = shown.join(", ");
        text.push_str(&format!("    {} --> {}: {commands}\n", state(from), state(to)));
    }
    text + "```\n"
}

/// Returns the results of a command in the situations of a state.
fn results(cells: &[&Cell]) -> String {
    let mut seen: Vec<(String, Vec<&str>)> = Vec::new();
    for cell in cells {
        let result = match &cell.result {
            Ok(decision) => format!("**{}**", state(decision.job.status.state)),
            Err(error) => format!("{error:?}"),
        };
        match seen.iter_mut().find(|(known, _)| *known == result) {
            Some((_, situations)) => situations.push(cell.situation),
            None => seen.push((result, vec![cell.situation])),
        }
    }
    let all: Vec<String> = seen.into_iter().map(|(result, _)| result).collect();
    all.join(" or ")
}

fn transitions(cells: &[Cell]) -> String {
    let columns: [(&str, &[State]); 5] = [
        ("SCHEDULED", &[State::Scheduled]),
        ("BLOCKED", &[State::Blocked]),
        ("READY", &[State::Ready]),
        ("RUNNING", &[State::Running]),
        ("terminal", &[State::Succeeded, State::Failed, State::Cancelled, State::Expired]),
    ];
    let mut text = String::from("| command |");
    columns.iter().for_each(|(name, _)| text.push_str(&format!(" {name} |")));
    text.push_str("\n|---|---|---|---|---|---|\n");
    let first = cells[0].situation;
    for name in cells.iter().filter(|c| c.situation == first).map(|c| c.command_name) {
        text.push_str(&format!("| {name} |"));
        for (_, states) in columns {
            let these: Vec<&Cell> = cells
                .iter()
                .filter(|c| c.command_name == name && states.contains(&c.from))
                .collect();
            text.push_str(&format!(" {} |", results(&these)));
        }
        text.push('\n');
    }
    text
}

fn key_conflicts() -> String {
    let mut text = String::from("| holder |");
    for mode in UniqueMode::ALL {
        text.push_str(&format!(" {} |", upper_snake_case(&format!("{mode:?}"))));
    }
    text.push_str("\n|---|---|---|---|---|\n");
    for (name, cells) in unique::table() {
        text.push_str(&format!("| {name} | {} |\n", cells.join(" | ")));
    }
    text
}

#[test]
fn the_state_machine_page_is_current() {
    let cells = cells();
    let errors: String = ERRORS.iter().map(|r| format!("| {r:?} | {r} |\n")).collect::<String>();
    let invariants: String = invariant::ALL.iter().map(|i| format!("- `{}`\n", i.name)).collect();
    let page = filled(
        include_str!("state_machine.template.md"),
        &[
            ("diagram", diagram(&cells)),
            ("transitions", transitions(&cells)),
            ("key_conflicts", key_conflicts()),
            ("errors", format!("| error | message |\n|---|---|\n{errors}")),
            ("invariants", invariants),
        ],
    );
    assert_current("docs/state-machine.md", &page);
}
