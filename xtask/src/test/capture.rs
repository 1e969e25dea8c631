//! Runs the program of a step: its output goes to a log, its last line is shown every minute, and
//! it is killed at its time limit.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::{paint, shell};

/// Some CI runners stop a job that prints nothing for long.
const STATUS_INTERVAL: Duration = Duration::from_secs(60);

/// Standard output and error of a program, in their order, and whether it succeeded.
#[derive(Debug)]
pub(crate) struct Captured {
    pub(crate) output: String,
    pub(crate) success: bool,
}

/// Runs `command`, for at most `limit` if there is one; prints its output when it fails.
pub(crate) fn capture(
    command: &mut Command,
    log: &Path,
    limit: Option<Duration>,
) -> Result<Captured> {
    let mut file = File::options().create(true).truncate(true).read(true).write(true).open(log)?;
    command.env("CARGO_TERM_COLOR", "never").env("CARGO_TERM_PROGRESS_WHEN", "never");
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file.try_clone()?);
    let child = command.spawn().with_context(|| format!("start `{}`", shell::line(command)))?;
    let (status, timed_out) = wait(child, log, limit)?;

    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let mut output = String::from_utf8_lossy(&bytes).into_owned();
    if let Some(limit) = limit.filter(|_| timed_out) {
        let seconds = limit.as_secs();
        output.push_str(&format!("\nstopped after {seconds} s, the limit of this step\n"));
    }
    if !status.success() {
        println!("\n{} {}", paint::faint("$"), shell::line(command));
        println!("{}", output.trim_end());
    }
    Ok(Captured { output, success: status.success() && !timed_out })
}

/// Waits in a thread, since the standard library has no wait with a limit.
fn wait(mut child: Child, log: &Path, limit: Option<Duration>) -> Result<(ExitStatus, bool)> {
    let limit = limit.unwrap_or(Duration::MAX);
    let started = Instant::now();
    let id = child.id();
    let (sender, ended) = channel();
    let waiter = std::thread::spawn(move || sender.send(child.wait()));
    let mut timed_out = false;
    let status = loop {
        let left = limit.saturating_sub(started.elapsed());
        let interval = if timed_out { Duration::MAX } else { STATUS_INTERVAL.min(left) };
        match ended.recv_timeout(interval) {
            Ok(status) => break status?,
            Err(RecvTimeoutError::Disconnected) => anyhow::bail!("the waiting thread ended early"),
            Err(RecvTimeoutError::Timeout) if started.elapsed() >= limit => {
                timed_out = true;
                stop_tree(id);
            }
            Err(RecvTimeoutError::Timeout) => print_status(log, started.elapsed()),
        }
    };
    drop(waiter);
    Ok((status, timed_out))
}

/// Kills a program and its descendants. They share the process group of this program, so that
/// Ctrl-C reaches them; the tree is therefore read from /proc.
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

/// The id of each running process with that of its parent, from /proc.
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

fn print_status(log: &Path, elapsed: Duration) {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no output yet");
    println!("{}", paint::faint(&format!("  {} s: {}", elapsed.as_secs(), last.trim())));
}

#[cfg(test)]
mod tests;
