//! The table for people and the file for comparisons.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::args::Args;
use crate::load::{BATCH_JOBS, PAYLOAD_BYTES};
use crate::machine::Machine;
use crate::measure::{MEASURES, Measure};
use crate::row::Round;

/// Everything of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    measured_at: String,
    machine: Machine,
    load_1_min_at_end: f64,
    settings: Settings,
    measures: Vec<Median>,
    rounds: Vec<Round>,
}

#[derive(Debug, Serialize)]
struct Settings {
    store: &'static str,
    durability: &'static str,
    hop: &'static str,
    history: &'static str,
    log_filter: String,
    traces: &'static str,
    payload_bytes: usize,
    jobs_per_batch: usize,
    labels: u32,
    preloaded_jobs: u64,
    worker_concurrency: u32,
    row_s: f64,
    steady_s: f64,
}

#[derive(Debug, Serialize)]
struct Median {
    key: &'static str,
    what: &'static str,
    unit: &'static str,
    counts: &'static str,
    median: f64,
    min: f64,
    max: f64,
    ceiling: Option<f64>,
}

/// The middle of the sorted values; of an even number the mean of the middle two.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

fn sorted(rounds: &[Round], key: &str) -> Vec<f64> {
    let mut values: Vec<f64> = rounds.iter().filter_map(|round| round.get(key).copied()).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn summary(rounds: &[Round], measure: &Measure) -> Option<Median> {
    let values = sorted(rounds, measure.key);
    let (min, max) = (*values.first()?, *values.last()?);
    let ceiling = measure.ceiling.map(|key| sorted(rounds, key)).filter(|of| !of.is_empty());
    Some(Median {
        key: measure.key,
        what: measure.what,
        unit: measure.unit,
        counts: measure.counts,
        median: median(&values),
        min,
        max,
        ceiling: ceiling.map(|of| median(&of)),
    })
}

impl Report {
    pub(crate) fn new(args: &Args, machine: Machine, rounds: Vec<Round>) -> Self {
        Self {
            measured_at: crate::machine::now_utc(),
            machine,
            load_1_min_at_end: crate::machine::load_1_min(),
            settings: Settings {
                store: args.store.name(),
                durability: args.store.durability(),
                hop: "gRPC over loopback, HTTP/2, one connection per process",
                history: "finished jobs kept in the ledger",
                log_filter: args.log_filter.clone(),
                traces: "off: no otlp_endpoint",
                payload_bytes: PAYLOAD_BYTES,
                jobs_per_batch: BATCH_JOBS,
                labels: args.labels,
                preloaded_jobs: args.jobs(),
                worker_concurrency: args.concurrency,
                row_s: args.span().as_secs_f64(),
                steady_s: args.steady().as_secs_f64(),
            },
            measures: MEASURES.iter().filter_map(|measure| summary(&rounds, measure)).collect(),
            rounds,
        }
    }

    pub(crate) fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// `<date>-<host>.json` in `dir`.
    pub(crate) fn save(&self, dir: &Path) -> Result<PathBuf> {
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let host: String = self.machine.host.chars().filter(|c| is_plain(*c)).take(40).collect();
        let host = if host.is_empty() { "host".to_owned() } else { host };
        let path = dir.join(format!("{}-{host}.json", self.measured_at));
        let json = self.to_json()? + "\n";
        std::fs::write(&path, json).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    pub(crate) fn to_table(&self) -> String {
        let machine = &self.machine;
        let mut out = format!(
            "{} on {} ({} cores, Linux {}), load {:.1} to {:.1}\n\
             {} rounds, {} jobs preloaded, worker concurrency {}, {} labels per job\n\
             {}\n\n",
            machine.sentinel,
            machine.cpu,
            machine.cores,
            machine.kernel,
            machine.load_1_min_at_start,
            self.load_1_min_at_end,
            self.rounds.len(),
            self.settings.preloaded_jobs,
            self.settings.worker_concurrency,
            self.settings.labels,
            self.settings.durability,
        );
        let head = ["", "median", "min .. max", "ceiling"];
        let mut rows = vec![head.map(str::to_owned)];
        let mut counts = vec!["counts"];
        for of in &self.measures {
            rows.push([
                of.what.to_owned(),
                format!("{} {}", number(of.median), of.unit),
                format!("{} .. {}", number(of.min), number(of.max)),
                of.ceiling.map(number).unwrap_or_default(),
            ]);
            counts.push(of.counts);
        }
        let width =
            |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
        let widths: BTreeMap<usize, usize> = (0..4).map(|column| (column, width(column))).collect();
        for (row, counts) in rows.iter().zip(counts) {
            let [what, median, range, ceiling] = row;
            let (a, b, c, d) = (widths[&0], widths[&1], widths[&2], widths[&3]);
            // Writing to a String does not fail.
            let _ = writeln!(out, "{what:a$}  {median:>b$}  {range:>c$}  {ceiling:>d$}  {counts}");
        }
        out
    }
}

/// Three digits that say something, and thousands apart.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 && digit != '-' {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if fraction.is_empty() { grouped } else { format!("{grouped}.{fraction}") }
}

#[cfg(test)]
mod tests;
