//! A watch on a terminal: a bar for each job that runs, a line for each that ended.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sentinel_client::proto::jobs::v1::{Job, JobState, Progress};
use sentinel_client::{WatchEvent, is_terminal};

use super::super::super::failure::Failure;
use super::super::super::look::look;
use super::super::super::out::Out;
use super::super::super::text;

/// Bars beyond a screen's height would scroll and be drawn again and again.
const BARS_MAX: usize = 20;
const TICK: Duration = Duration::from_millis(120);

/// The bars of the jobs that have not ended.
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

    /// Draws what an event changed.
    pub(super) fn show(&mut self, event: &WatchEvent, out: &Out) -> Result<(), Failure> {
        match event {
            WatchEvent::Snapshot(snapshot) => {
                // Of a selection, what ended before the watch began would fill the screen.
                let by_id = self.by_id;
                let shown = |job: &&Job| by_id || !is_terminal(job.state());
                for job in snapshot.jobs.iter().filter(shown) {
                    self.job(job, out)?;
                }
                for id in &snapshot.unknown_ids {
                    self.screen.println(format!("{id} is not known"))?;
                }
            }
            WatchEvent::Change(change) => {
                if let Some(job) = &change.job {
                    self.job(job, out)?;
                }
            }
            WatchEvent::Progress(one) => {
                if let (Some(bar), Some(progress)) = (self.bars.get(&one.id), &one.progress) {
                    advance(bar, progress);
                }
            }
            WatchEvent::Log(_) | WatchEvent::Gap(_) => {
                if matches!(event, WatchEvent::Gap(_)) {
                    // Jobs may have ended unseen; the snapshot that follows has the others.
                    self.clear();
                }
                for line in super::lines(event, out) {
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

    fn job(&mut self, job: &Job, out: &Out) -> Result<(), Failure> {
        if is_terminal(job.state()) {
            if let Some(bar) = self.bars.remove(&job.id) {
                self.remove(&bar);
            }
            let look = look(job.state());
            let mark = look.hue.paint(&look.mark.to_string(), self.colors);
            self.screen.println(format!("{mark} {}", text::job_line(job, out)))?;
            return Ok(());
        }
        if !self.bars.contains_key(&job.id) {
            if self.bars.len() >= BARS_MAX {
                return Ok(());
            }
            let bar = self.screen.add(ProgressBar::new(0));
            bar.enable_steady_tick(TICK);
            self.bars.insert(job.id.clone(), bar);
        }
        if let Some(bar) = self.bars.get(&job.id) {
            draw(bar, job, out);
        }
        Ok(())
    }
}

fn draw(bar: &ProgressBar, job: &Job, out: &Out) {
    let look = look(job.state());
    let kind = job.spec.as_ref().map_or("", |spec| spec.kind.as_str());
    bar.set_prefix(format!(
        "{} {} {}",
        job.id,
        look.hue.paint(&format!("{:9}", look.word), out.colors),
        text::one_line(kind)
    ));
    match &job.progress {
        // The record is behind the progress frames: it does not move a bar back.
        _ if job.state() == JobState::Running && bar.position() > 0 => {}
        Some(progress) if job.state() == JobState::Running => advance(bar, progress),
        _ => {
            bar.set_position(0);
            bar.set_style(style("{prefix} {msg}"));
            bar.set_message(text::remark(job, out.now));
        }
    }
}

fn advance(bar: &ProgressBar, progress: &Progress) {
    if progress.total > 0 {
        bar.set_style(style("{prefix} [{bar:24}] {percent:>3}% {pos}/{len} {msg}"));
        bar.set_length(progress.total);
        bar.set_position(progress.done.min(progress.total));
        bar.set_message(text::one_line(&progress.message));
    } else {
        bar.set_style(style("{spinner} {prefix} {msg}"));
        bar.set_message(text::progress(Some(progress)));
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the templates of this file are valid")
        .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use sentinel_client::proto::jobs::v1::{GapReason, JobChange, JobProgress, WatchGap};

    use super::super::super::super::tests::{ID, Sink, job};
    use super::*;

    #[test]
    fn a_bar_lives_as_long_as_its_job() {
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
            bars.show(&event, &out).unwrap();
        }
        assert_eq!(bars.bars[ID].position(), 3);
        assert_eq!(bars.bars[ID].length(), Some(4));
        bars.show(&change(JobState::Succeeded), &out).unwrap();
        assert!(bars.bars.is_empty());
        bars.show(&change(JobState::Running), &out).unwrap();
        let gap = WatchGap { reason: GapReason::Trimmed.into() };
        bars.show(&WatchEvent::Gap(gap), &out).unwrap();
        assert!(bars.bars.is_empty());
    }

    #[test]
    fn a_crowd_does_not_outgrow_the_screen() {
        let out = Sink::default().pipe(false);
        let mut bars = Bars::new(false, false);
        for at in 0..BARS_MAX + 5 {
            let job = Job { id: format!("job-{at}"), ..job(JobState::Running) };
            bars.show(&WatchEvent::Change(JobChange { job: Some(job) }), &out).unwrap();
        }
        assert_eq!(bars.bars.len(), BARS_MAX);
    }
}
