//! `sentinel job update`: changes the spec of a job that has not started.

use std::collections::BTreeMap;

use clap::Args;
use sentinel_client::Client;
use sentinel_client::proto::jobs::v1::{JobSpec, UpdateRequest};

use super::super::error::CliError;
use super::super::output::Output;
use super::super::parse::{self, TimeArg};
use super::super::{json, state_style::style};
use super::enqueue::payload_of_flag;

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel job update 0190a5c2-... --priority 9 --run-at 0s
  sentinel job update 0190a5c2-... --payload '{\"to\":\"b@example.org\"}' --label shop=43

Flags that are not given leave their fields unchanged.";

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("values").required(true).multiple(true)))]
pub(super) struct UpdateArgs {
    /// Id of the job.
    id: String,
    /// Priority from 0 to 9; 9 is the most urgent.
    #[arg(long, value_name = "N", group = "values", value_parser = clap::value_parser!(u32).range(0..=9))]
    priority: Option<u32>,
    /// Earliest start: a time such as 2026-08-01T12:00:00Z, or a duration from now. 0s is now.
    #[arg(long, group = "values", value_name = "TIME", value_parser = parse::time)]
    run_at: Option<TimeArg>,
    /// Label; repeatable. The labels replace all previous labels of the job.
    #[arg(long = "label", group = "values", value_name = "KEY=VALUE", value_parser = parse::key_value, conflicts_with = "no_labels")]
    labels: Vec<(String, String)>,
    /// Remove all labels.
    #[arg(long, group = "values")]
    no_labels: bool,
    /// Payload: the input of the handler. `-` reads standard input.
    #[arg(long, group = "values", value_name = "JSON")]
    payload: Option<String>,
    /// Media type of the payload.
    #[arg(long, group = "values", value_name = "TYPE")]
    content_type: Option<String>,
    /// Version that the job must have, to detect concurrent changes. 0 accepts any version.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    version: u64,
}

impl UpdateArgs {
    /// Builds the request, without an idempotency key.
    fn request(self, now: std::time::SystemTime) -> Result<UpdateRequest, CliError> {
        let mut paths = Vec::new();
        let mut spec = JobSpec::default();
        if let Some(priority) = self.priority {
            paths.push("priority".to_owned());
            spec.priority = priority;
        }
        if let Some(at) = self.run_at.map(|at| at.resolve(now)) {
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
            spec.payload = payload_of_flag(&payload, content_type)?.into();
        }
        let update_mask = Some(prost_types::FieldMask { paths });
        let (id, version) = (self.id, self.version);
        Ok(UpdateRequest { id, spec: Some(spec), update_mask, version, ..UpdateRequest::default() })
    }
}

/// Runs `sentinel job update`.
pub(super) async fn run(
    args: UpdateArgs,
    client: &Client,
    out: &mut Output,
) -> Result<u8, CliError> {
    let request = args.request(out.now)?;
    let job = client.update(request).await?;
    if out.json {
        out.json_line(&json::job(&job))?;
    } else {
        let state = style(job.state()).name;
        out.line(format!("{} {state}, version {}", job.id, job.version))?;
    }
    Ok(0)
}
