//! `sentinel job update`: other values for jobs that have not started.

use std::collections::BTreeMap;

use clap::Args;
use sentinel_client::Client;
use sentinel_client::proto::jobs::v1::{JobSpec, UpdateRequest};

use super::super::failure::Failure;
use super::super::out::Out;
use super::super::value::{Moment, moment, pair};
use super::super::{json, look::look};
use super::enqueue::checked_payload;

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel job update 0190a5c2-... --priority 9 --run-at 0s
  sentinel job update 0190a5c2-... --payload '{\"to\":\"b@example.org\"}' --label shop=43";

/// `sentinel job update`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("values").required(true).multiple(true)))]
pub(super) struct UpdateFlags {
    /// The job.
    id: String,
    /// 9 is the most urgent.
    #[arg(long, group = "values", value_parser = clap::value_parser!(u32).range(0..=9))]
    priority: Option<u32>,
    /// Start at this time, such as 2026-08-01T12:00:00Z, or this long from now; 0s: at once.
    #[arg(long, group = "values", value_name = "TIME", value_parser = moment)]
    run_at: Option<Moment>,
    /// Its labels from now on, all of them; may be repeated.
    #[arg(long = "label", group = "values", value_name = "KEY=VALUE", value_parser = pair, conflicts_with = "no_labels")]
    labels: Vec<(String, String)>,
    /// No labels from now on.
    #[arg(long, group = "values")]
    no_labels: bool,
    /// The handler's input; `-` reads standard input.
    #[arg(long, group = "values", value_name = "JSON")]
    payload: Option<String>,
    /// Media type of the payload.
    #[arg(long, group = "values", value_name = "TYPE")]
    content_type: Option<String>,
    /// Only while the job has this version.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    version: u64,
}

impl UpdateFlags {
    /// The call, without an identity of its own.
    fn request(self, now: std::time::SystemTime) -> Result<UpdateRequest, Failure> {
        let mut paths = Vec::new();
        let mut spec = JobSpec::default();
        if let Some(priority) = self.priority {
            paths.push("priority".to_owned());
            spec.priority = priority;
        }
        if let Some(at) = self.run_at.map(|at| at.since(now)) {
            paths.push("run_at".to_owned());
            spec.run_at = Some(at.into());
        }
        if self.no_labels || !self.labels.is_empty() {
            paths.push("labels".to_owned());
            spec.labels = self.labels.into_iter().collect::<BTreeMap<_, _>>();
        }
        if let Some(content_type) = &self.content_type {
            paths.push("content_type".to_owned());
            spec.content_type.clone_from(content_type);
        }
        if let Some(payload) = self.payload {
            paths.push("payload".to_owned());
            let content_type = self.content_type.as_deref().unwrap_or("application/json");
            spec.payload = checked_payload(&payload, content_type)?.into();
        }
        let update_mask = Some(prost_types::FieldMask { paths });
        let (id, version) = (self.id, self.version);
        Ok(UpdateRequest { id, spec: Some(spec), update_mask, version, ..UpdateRequest::default() })
    }
}

pub(super) async fn run(flags: UpdateFlags, client: &Client, out: &mut Out) -> Result<u8, Failure> {
    let request = flags.request(out.now)?;
    let job = client.update(request).await?;
    if out.json {
        out.object(&json::job(&job))?;
    } else {
        let state = look(job.state()).word;
        out.line(format!("{} {state}, version {}", job.id, job.version))?;
    }
    Ok(0)
}
