//! A watch on a terminal: a progress bar for each live job, a line for each terminal job.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sentinel_client::proto::jobs::v1::{Job, JobState, Progress};
use sentinel_client::{WatchEvent, is_terminal};

use super::super::super::error::CliError;
use super::super::super::output::Output;
use super::super::super::progress_bar;
use super::super::super::state_style::style;
use super::super::super::terminal;
use super::super::super::text;
use super::lines;

/// More bars than lines on the screen would scroll and be redrawn all the time.
const BARS_MAX: usize = 20;
const TICK_INTERVAL: Duration = Duration::from_millis(120);

/// The progress bars of the live jobs.
pub(super) struct Bars {
    screen: MultiProgress,
    bars: BTreeMap<String, ProgressBar>,
    colors: bool,
    by_id: bool,
}

impl Bars {
    pub(super) fn new(colors: bool, by_id: bool) -> Bars {
        Bars { screen: MultiProgress::new(), bars: BTreeMap::new(), colors, by_id }
    }

    /// Updates the bars with an event.
    pub(super) fn update(&mut self, event: &WatchEvent, out: &Output) -> Result<(), CliError> {
        match event {
            WatchEvent::Snapshot(snapshot) => {
                // With a filter, jobs that were terminal before the watch would fill the screen.
                let by_id = self.by_id;
                let is_shown = |job: &&Job| by_id || !is_terminal(job.state());
                for job in snapshot.jobs.iter().filter(is_shown) {
                    self.update_job(job, out)?;
                }
                for id in &snapshot.unknown_ids {
                    self.screen.println(lines::unknown_id(id))?;
                }
            }
            WatchEvent::Change(change) => {
                if let Some(job) = &change.job {
                    self.update_job(job, out)?;
                }
            }
            WatchEvent::Progress(one) => {
                if let (Some(bar), Some(progress)) = (self.bars.get(&one.id), &one.progress) {
                    set_progress(bar, progress);
                }
            }
            WatchEvent::Log(_) | WatchEvent::Gap(_) => {
                if matches!(event, WatchEvent::Gap(_)) {
                    // Jobs may have finished unnoticed; the snapshot that follows has the others.
                    self.clear();
                }
                for line in lines::lines(event, out) {
                    self.screen.println(line)?;
                }
            }
            WatchEvent::Keepalive(_) | WatchEvent::Summary(_) => {}
        }
        Ok(())
    }

    fn clear(&mut self) {
        for bar in std::mem::take(&mut self.bars).into_values() {
            self.remove(&bar);
        }
    }

    fn remove(&self, bar: &ProgressBar) {
        bar.finish_and_clear();
        self.screen.remove(bar);
    }

    fn update_job(&mut self, job: &Job, out: &Output) -> Result<(), CliError> {
        if is_terminal(job.state()) {
            if let Some(bar) = self.bars.remove(&job.id) {
                self.remove(&bar);
            }
            let style = style(job.state());
            let symbol = style.color.paint(&style.symbol.to_string(), self.colors);
            self.screen.println(format!("{symbol} {}", text::job_line(job, out)))?;
            return Ok(());
        }
        if !self.bars.contains_key(&job.id) {
            if self.bars.len() >= BARS_MAX {
                return Ok(());
            }
            let bar = self.screen.add(ProgressBar::new(0));
            bar.enable_steady_tick(TICK_INTERVAL);
            self.bars.insert(job.id.clone(), bar);
        }
        if let Some(bar) = self.bars.get(&job.id) {
            draw(bar, job, out);
        }
        Ok(())
    }
}

fn draw(bar: &ProgressBar, job: &Job, out: &Output) {
    let style = style(job.state());
    let kind = job.spec.as_ref().map_or("", |spec| spec.kind.as_str());
    bar.set_prefix(format!(
        "{} {} {}",
        job.id,
        style.color.paint(&format!("{:9}", style.name), out.colors),
        terminal::one_line(kind)
    ));
    match &job.progress {
        // The job is older than the progress events: do not move the bar back.
        _ if job.state() == JobState::Running && bar.position() > 0 => {}
        Some(progress) if job.state() == JobState::Running => set_progress(bar, progress),
        _ => {
            bar.set_position(0);
            bar.set_style(bar_style("{prefix} {msg}"));
            bar.set_message(text::details(job, out.now));
        }
    }
}

fn set_progress(bar: &ProgressBar, progress: &Progress) {
    if progress.total > 0 {
        bar.set_style(bar_style("{prefix} [{bar:24}] {percent:>3}% {pos}/{len} {msg}"));
        bar.set_length(progress.total);
        bar.set_position(progress.done.min(progress.total));
        bar.set_message(terminal::one_line(&progress.message));
    } else {
        bar.set_style(bar_style("{spinner} {prefix} {msg}"));
        bar.set_message(text::progress(Some(progress)));
    }
}

fn bar_style(template: &str) -> ProgressStyle {
    progress_bar::style(template).progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use sentinel_client::proto::jobs::v1::{GapReason, JobChange, JobProgress, WatchGap};

    use super::super::super::super::tests::{ID, Sink, job};
    use super::*;

    #[test]
    fn a_bar_is_removed_when_its_job_finishes_and_at_a_gap() {
        let out = Sink::default().pipe(false);
        let mut bars = Bars::new(false, true);
        let change = |state| WatchEvent::Change(JobChange { job: Some(job(state)) });
        let progress = |total| {
            let progress = Progress { seq: 1, done: 3, total, message: "m".to_owned() };
            let progress = Some(progress);
            WatchEvent::Progress(JobProgress { id: ID.to_owned(), attempt: 1, progress })
        };
        for event in [change(JobState::Ready), change(JobState::Running), progress(0), progress(4)]
        {
            bars.update(&event, &out).unwrap();
        }
        assert_eq!(bars.bars[ID].position(), 3);
        assert_eq!(bars.bars[ID].length(), Some(4));
        bars.update(&change(JobState::Succeeded), &out).unwrap();
        assert!(bars.bars.is_empty());
        bars.update(&change(JobState::Running), &out).unwrap();
        let gap = WatchGap { reason: GapReason::Trimmed.into() };
        bars.update(&WatchEvent::Gap(gap), &out).unwrap();
        assert!(bars.bars.is_empty());
    }

    #[test]
    fn the_number_of_bars_is_limited() {
        let out = Sink::default().pipe(false);
        let mut bars = Bars::new(false, false);
        for index in 0..BARS_MAX + 5 {
            let job = Job { id: format!("job-{index}"), ..job(JobState::Running) };
            bars.update(&WatchEvent::Change(JobChange { job: Some(job) }), &out).unwrap();
        }
        assert_eq!(bars.bars.len(), BARS_MAX);
    }
}
