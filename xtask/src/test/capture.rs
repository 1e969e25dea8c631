//! Runs a step's program: output into a log, a sign of life every minute, an end to
//! whatever hangs.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::{paint, shell};

/// A CI job that is silent for long looks dead, to people and to some runners.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);

/// What a program wrote, standard output and error in their order, and whether it passed.
#[derive(Debug)]
pub(crate) struct Captured {
    pub(crate) output: String,
    pub(crate) success: bool,
}

/// Runs `command` for at most `limit`; on failure prints all that it wrote.
pub(crate) fn capture(command: &mut Command, log: &Path, limit: Duration) -> Result<Captured> {
    let mut file = File::options().create(true).truncate(true).read(true).write(true).open(log)?;
    command.env("CARGO_TERM_COLOR", "never").env("CARGO_TERM_PROGRESS_WHEN", "never");
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file.try_clone()?);
    let child = command.spawn().with_context(|| format!("start `{}`", shell::line(command)))?;
    let (status, timed_out) = wait(child, log, limit)?;

    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let mut output = String::from_utf8_lossy(&bytes).into_owned();
    if timed_out {
        output
            .push_str(&format!("\nstopped after {} s, the limit of this step\n", limit.as_secs()));
    }
    if !status.success() {
        println!("\n{} {}", paint::faint("$"), shell::line(command));
        println!("{}", output.trim_end());
    }
    Ok(Captured { output, success: status.success() && !timed_out })
}

/// Waits in a thread, since the standard library has no wait with a limit.
fn wait(mut child: Child, log: &Path, limit: Duration) -> Result<(ExitStatus, bool)> {
    let started = Instant::now();
    let id = child.id();
    let (sender, ended) = channel();
    let waiter = std::thread::spawn(move || sender.send(child.wait()));
    let mut timed_out = false;
    let status = loop {
        let left = limit.saturating_sub(started.elapsed());
        let patience = if timed_out { Duration::MAX } else { SIGN_OF_LIFE.min(left) };
        match ended.recv_timeout(patience) {
            Ok(status) => break status?,
            Err(RecvTimeoutError::Disconnected) => anyhow::bail!("the waiting thread ended early"),
            Err(RecvTimeoutError::Timeout) if started.elapsed() >= limit => {
                timed_out = true;
                stop_tree(id);
            }
            Err(RecvTimeoutError::Timeout) => sign_of_life(log, started.elapsed()),
        }
    };
    drop(waiter);
    Ok((status, timed_out))
}

/// Ends a program and all that it started. They share our process group, so that Ctrl-C
/// reaches them; hence they are told apart by who started whom.
fn stop_tree(id: u32) {
    let parents = parents();
    let mut tree = vec![id];
    let mut next = 0;
    while next < tree.len() {
        let children = parents.iter().filter(|(_, parent)| *parent == tree[next]);
        let children: Vec<u32> = children.map(|(id, _)| *id).collect();
        tree.extend(children);
        next += 1;
    }
    let ids: Vec<String> = tree.iter().map(ToString::to_string).collect();
    // The shell's own kill: the program is absent from small images.
    shell::succeeds(shell::command("sh").arg("-c").arg(format!("kill -KILL {}", ids.join(" "))));
}

/// Each running process with the one that started it, from /proc.
fn parents() -> Vec<(u32, u32)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pair = |entry: std::fs::DirEntry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // `id (name) state parent ..`, where the name may hold blanks and brackets.
        let (_, after_name) = stat.rsplit_once(") ")?;
        Some((id, after_name.split(' ').nth(1)?.parse().ok()?))
    };
    entries.filter_map(Result::ok).filter_map(pair).collect()
}

fn sign_of_life(log: &Path, elapsed: Duration) {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no output yet");
    println!("{}", paint::faint(&format!("  {} s: {}", elapsed.as_secs(), last.trim())));
}

#[cfg(test)]
mod tests;
