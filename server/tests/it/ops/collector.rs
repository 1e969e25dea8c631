//! An OTLP/gRPC receiver that stores the spans that it receives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1 as wire;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// A span with hexadecimal ids.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    /// The trace id and the span id of each link.
    pub(crate) links: Vec<(String, String)>,
    /// String and integer attributes.
    pub(crate) attributes: BTreeMap<String, String>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl From<wire::Span> for Span {
    fn from(span: wire::Span) -> Self {
        let kind = span.kind().as_str_name().trim_start_matches("SPAN_KIND_").to_owned();
        let links = span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id)));
        let text = |value| match value {
            Some(Value::StringValue(text)) => Some(text),
            Some(Value::IntValue(number)) => Some(number.to_string()),
            _ => None,
        };
        Self {
            kind,
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            links: links.collect(),
            attributes: span
                .attributes
                .into_iter()
                .filter_map(|one| Some((one.key, text(one.value?.value)?)))
                .collect(),
            name: span.name,
        }
    }
}

type Spans = Arc<Mutex<Vec<Span>>>;

struct Receiver(Spans);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        let spans = scopes.flat_map(|scope| scope.spans).map(Span::from);
        self.0.lock().expect("no poisoned lock").extend(spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A listener that runs until it is dropped.
pub(crate) struct Collector {
    pub(crate) url: String,
    spans: Spans,
    serving: JoinHandle<()>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind a free port");
        let url = format!("http://{}", listener.local_addr().expect("a local address"));
        let spans = Spans::default();
        let service = TraceServiceServer::new(Receiver(spans.clone()));
        let serving = tokio::spawn(async move {
            let server = tonic::transport::Server::builder().add_service(service);
            server.serve_with_incoming(TcpListenerStream::new(listener)).await.expect("serve");
        });
        Self { url, spans, serving }
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.spans.lock().expect("no poisoned lock").clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
