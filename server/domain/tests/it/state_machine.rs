//! The table of states and commands: compared with a golden file, and drawn for people.

use std::collections::{BTreeMap, BTreeSet};

use sentinel_domain::{Command, CommandError, Decision, State, UniqueMode, invariant};

use crate::document::{filled, must_say};
use crate::machine::{Cell, NOW, cells, questions, situations, spelled};
use crate::unique;

fn state(state: State) -> String {
    spelled(&format!("{state:?}"))
}

fn summary(cell: &Cell) -> String {
    match &cell.answer {
        Err(refusal) => format!("refused {refusal:?}"),
        Ok(Decision { job, attempt_end: end }) => {
            let s = &job.status;
            let due = s.ready_at - NOW;
            let recorded = s.recorded_lease != cell.before.status.recorded_lease;
            let outcome = end.as_ref().map(|end| end.outcome);
            format!(
                "{} reason={:?} run={} attempt={} crashes={} epoch={} due={due:+} cancel={} recorded={} end={}",
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
fn every_command_in_every_state_does_what_the_golden_file_says() {
    let mut text = String::new();
    let mut situation = "";
    for cell in cells() {
        if cell.situation != situation {
            situation = cell.situation;
            text.push_str(&format!("\n# {situation}\n"));
        }
        text.push_str(&format!("{:<26} {}\n", cell.question, summary(&cell)));
    }
    must_say("server/domain/tests/it/state_machine.golden", text.trim_start());
}

/// The name of a command; a new one does not compile until the table asks it.
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
        Command::MarkLost { .. } => "Lose",
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
fn the_table_has_every_state_command_and_refusal() {
    let all = situations();
    let states: BTreeSet<State> = all.iter().map(|s| s.job.status.state).collect();
    assert_eq!(states.len(), State::ALL.len());
    let asked = questions(all[0].lease, &all[0].job);
    let names: BTreeSet<&str> = asked.iter().map(|q| command_name(&q.command)).collect();
    assert_eq!(names.len(), 20);
    assert!(asked.iter().all(|q| q.name.starts_with(command_name(&q.command))));
    let refused: BTreeSet<String> =
        cells().iter().filter_map(|c| c.answer.as_ref().err()).map(|r| format!("{r:?}")).collect();
    assert_eq!(refused, REFUSALS.iter().map(|r| format!("{r:?}")).collect());
}

const REFUSALS: [CommandError; 13] = [
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
fn what_is_asked_keeps_every_invariant() {
    for cell in cells() {
        assert_eq!(invariant::violated(&cell.before), [""; 0], "{}", cell.situation);
        if let Ok(decision) = &cell.answer {
            let name = format!("{} / {}", cell.situation, cell.question);
            assert_eq!(invariant::violated(&decision.job), [""; 0], "{name}");
            assert_eq!(
                invariant::violated_transition(&cell.before, &decision.job),
                [""; 0],
                "{name}"
            );
        }
    }
}

/// The edges that some command of the table takes.
fn diagram(cells: &[Cell]) -> String {
    let mut edges: BTreeMap<(State, State), Vec<&str>> = BTreeMap::new();
    for cell in cells {
        let Ok(decision) = &cell.answer else { continue };
        let edge = edges.entry((cell.from, decision.job.status.state)).or_default();
        if !edge.contains(&cell.question) {
            edge.push(cell.question);
        }
    }
    let mut text = String::from("```mermaid\nstateDiagram-v2\n");
    for born in [State::Scheduled, State::Blocked, State::Ready, State::Cancelled] {
        text.push_str(&format!("    [*] --> {}: enqueue\n", state(born)));
    }
    for ((from, to), commands) in edges {
        // A variant is named only on an edge that the plain command does not take.
        let plain = |question: &str| question.split(',').next().map(str::to_owned);
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

/// What a command does in the situations of one state; a situation is named where they differ.
fn answers(cells: &[&Cell]) -> String {
    let mut seen: Vec<(String, Vec<&str>)> = Vec::new();
    for cell in cells {
        let answer = match &cell.answer {
            Ok(decision) => format!("**{}**", state(decision.job.status.state)),
            Err(refusal) => format!("{refusal:?}"),
        };
        match seen.iter_mut().find(|(known, _)| *known == answer) {
            Some((_, situations)) => situations.push(cell.situation),
            None => seen.push((answer, vec![cell.situation])),
        }
    }
    let all: Vec<String> = seen.into_iter().map(|(answer, _)| answer).collect();
    all.join(" or ")
}

fn moves(cells: &[Cell]) -> String {
    let columns: [(&str, &[State]); 5] = [
        ("SCHEDULED", &[State::Scheduled]),
        ("BLOCKED", &[State::Blocked]),
        ("READY", &[State::Ready]),
        ("RUNNING", &[State::Running]),
        ("final", &[State::Succeeded, State::Failed, State::Cancelled, State::Expired]),
    ];
    let mut text = String::from("| command |");
    columns.iter().for_each(|(name, _)| text.push_str(&format!(" {name} |")));
    text.push_str("\n|---|---|---|---|---|---|\n");
    let first = cells[0].situation;
    for question in cells.iter().filter(|c| c.situation == first).map(|c| c.question) {
        text.push_str(&format!("| {question} |"));
        for (_, states) in columns {
            let these: Vec<&Cell> = cells
                .iter()
                .filter(|c| c.question == question && states.contains(&c.from))
                .collect();
            text.push_str(&format!(" {} |", answers(&these)));
        }
        text.push('\n');
    }
    text
}

fn clashes() -> String {
    let mut text = String::from("| holder |");
    for mode in UniqueMode::ALL {
        text.push_str(&format!(" {} |", spelled(&format!("{mode:?}"))));
    }
    text.push_str("\n|---|---|---|---|---|\n");
    for (name, cells) in unique::table() {
        text.push_str(&format!("| {name} | {} |\n", cells.join(" | ")));
    }
    text
}

#[test]
fn the_page_of_the_state_machine_is_current() {
    let cells = cells();
    let refusals: String =
        REFUSALS.iter().map(|r| format!("| {r:?} | {r} |\n")).collect::<String>();
    let invariants: String = invariant::ALL.iter().map(|i| format!("- `{}`\n", i.name)).collect();
    let page = filled(
        include_str!("state_machine.template.md"),
        &[
            ("diagram", diagram(&cells)),
            ("moves", moves(&cells)),
            ("clashes", clashes()),
            ("refusals", format!("| refusal | says |\n|---|---|\n{refusals}")),
            ("invariants", invariants),
        ],
    );
    must_say("docs/state-machine.md", &page);
}
