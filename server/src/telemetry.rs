//! Logs and traces of a server: where they go and in which form. What a span says about a
//! job is in [`span`].

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

use crate::config::{Config, LogFormat};

/// A stopping server waits no longer than this for its last spans to leave.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);
/// A collector that does not answer costs one batch, not the queue of spans behind it.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(2);

/// What must be flushed before the process ends.
#[derive(Debug)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Installs the global subscriber. Logs go to standard error, so that standard output
    /// stays free for answers. Call it once, inside a tokio runtime: the exporter needs one.
    ///
    /// # Errors
    /// A subscriber is installed already, or the OTLP endpoint is not usable.
    pub fn init(config: &Config) -> Result<Telemetry> {
        let provider = config.otlp_endpoint.as_deref().map(|url| exporting(url, config));
        let provider = provider.transpose()?;
        if let Some(provider) = &provider {
            // For spans whose times are known only when they are over.
            opentelemetry::global::set_tracer_provider(provider.clone());
        }
        tracing_subscriber::registry()
            .with(provider.as_ref().map(traces))
            .with(logs(config)?)
            .try_init()
            .context("install the log subscriber")?;
        Ok(Telemetry { provider })
    }

    /// Sends the spans that are still queued, for at most 3 s.
    pub async fn shutdown(self) {
        let Some(provider) = self.provider else { return };
        let flush =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_TIMEOUT));
        match tokio::time::timeout(FLUSH_TIMEOUT, flush).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the last spans were not exported"),
            Ok(Err(error)) => tracing::warn!(%error, "the last spans were not exported"),
            Err(_) => tracing::warn!("the last spans were not exported within 3 s"),
        }
    }
}

fn exporting(url: &str, config: &Config) -> Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(url)
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

/// Spans go out whatever log_filter says: one is for reading, the other for searching.
fn traces<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    // The exporter's own calls would be exported too, and make the next ones.
    let own = FilterFn::new(|metadata| {
        *metadata.level() <= tracing::Level::INFO && metadata.target().starts_with("sentinel")
    });
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("sentinel"))
        .with_location(false)
        .with_threads(false)
        .with_filter(own)
}

type Boxed<S> = Box<dyn Layer<S> + Send + Sync>;

fn logs<S>(config: &Config) -> Result<Boxed<S>>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let terminal = std::io::stderr().is_terminal();
    let filter: EnvFilter = config.log_filter.parse().context("log_filter")?;
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let pretty = match config.log_format {
        LogFormat::Pretty => true,
        LogFormat::Json => false,
        LogFormat::Auto => terminal,
    };
    Ok(if pretty {
        let colors = config.color.enabled(terminal);
        layer.with_ansi(colors).with_filter(filter).boxed()
    } else {
        layer.fmt_fields(JsonFields::new()).event_format(json::Line).with_filter(filter).boxed()
    })
}
