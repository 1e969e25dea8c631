//! Log output and trace export of a server. The spans of jobs are in [`span`].

mod json;
pub mod span;

#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Context, Result};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, FilterFn};
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Config, LogFormat, SecretUrl};

/// How long a shutdown waits for the export of the last spans.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);
/// The timeout of one batch. A collector that does not answer loses one batch, not the spans queued
/// after it.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(2);

/// The trace exporter, to be flushed before the process exits.
#[derive(Debug)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Installs the global subscriber. Logs go to standard error, since standard output is for the
    /// results of commands. Call it once and in a tokio runtime, which the exporter needs.
    ///
    /// # Errors
    /// A subscriber is already installed, or the OTLP endpoint is invalid.
    pub fn init(config: &Config) -> Result<Telemetry> {
        let provider = config.otlp_endpoint.as_ref().map(|url| tracer_provider(url, config));
        let provider = provider.transpose()?;
        if let Some(provider) = &provider {
            // For spans that are recorded after they have ended.
            opentelemetry::global::set_tracer_provider(provider.clone());
        }
        tracing_subscriber::registry()
            .with(provider.as_ref().map(traces))
            .with(logs(config)?)
            .try_init()
            .context("install the log subscriber")?;
        Ok(Telemetry { provider })
    }

    /// Exports the queued spans, for at most 3 s.
    pub async fn shutdown(self) {
        let Some(provider) = self.provider else { return };
        let flush =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_TIMEOUT));
        match tokio::time::timeout(FLUSH_TIMEOUT, flush).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "exporting the last spans failed"),
            Ok(Err(error)) => tracing::warn!(%error, "exporting the last spans failed"),
            Err(_) => tracing::warn!("exporting the last spans timed out after 3 s"),
        }
    }
}

fn tracer_provider(url: &SecretUrl, config: &Config) -> Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(url.reveal())
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .with_context(|| format!("send traces to otlp_endpoint = {url}"))?;
    let resource = Resource::builder()
        .with_service_name("sentinel")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", config.server_name.clone()))
        .build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// Returns the layer that exports spans. It is independent of `log_filter`.
fn traces<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    // Exclude the spans of the exporter, whose export would create further spans.
    let sentinel_only = FilterFn::new(|metadata| {
        *metadata.level() <= tracing::Level::INFO && metadata.target().starts_with("sentinel")
    });
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("sentinel"))
        .with_location(false)
        .with_threads(false)
        .with_filter(sentinel_only)
}

type BoxedLayer<S> = Box<dyn Layer<S> + Send + Sync>;

fn logs<S>(config: &Config) -> Result<BoxedLayer<S>>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let is_terminal = std::io::stderr().is_terminal();
    let filter: EnvFilter = config.log_filter.parse().context("log_filter")?;
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let is_pretty = match config.log_format {
        LogFormat::Pretty => true,
        LogFormat::Json => false,
        LogFormat::Auto => is_terminal,
    };
    Ok(if is_pretty {
        let colors = config.color.enabled(is_terminal);
        layer.with_ansi(colors).with_filter(filter).boxed()
    } else {
        layer.fmt_fields(JsonFields::new()).event_format(json::JsonLine).with_filter(filter).boxed()
    })
}
