//! Metrics and traces of all RPCs, as one layer around all services.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use opentelemetry::trace::TraceContextExt;
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::Code;
use tower::{Layer, Service};
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::metrics::Metrics;
use crate::telemetry::span::set_parent;

/// Methods of third-party services.
const THIRD_PARTY_METHODS: [&str; 4] = [
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// Wraps a service in [`MeasuredService`].
#[derive(Clone, Debug)]
pub struct RpcMetricsLayer {
    metrics: Metrics,
    methods: Arc<HashMap<String, Arc<str>>>,
    other: Arc<str>,
}

impl RpcMetricsLayer {
    /// Records calls in `metrics`.
    pub fn new(metrics: Metrics) -> RpcMetricsLayer {
        // Clients choose the path, so only known methods become labels.
        let methods =
            sentinel_methods().chain(THIRD_PARTY_METHODS.iter().map(|name| (*name).to_owned()));
        let methods = methods.map(|name| (format!("/{name}"), Arc::from(name))).collect();
        RpcMetricsLayer { metrics, methods: Arc::new(methods), other: "other".into() }
    }

    fn begin(&self, path: &str, headers: &HeaderMap) -> Call {
        let method = self.methods.get(path).unwrap_or(&self.other).clone();
        let span = tracing::info_span!(
            "rpc",
            otel.name = &*method,
            otel.kind = "server",
            otel.status_code = tracing::field::Empty,
            rpc.system.name = "grpc",
            rpc.method = &*method,
            rpc.response.status_code = tracing::field::Empty,
        );
        if let Some(traceparent) = headers.get("traceparent").and_then(|text| text.to_str().ok()) {
            set_parent(&span, traceparent);
        }
        Call { metrics: self.metrics.clone(), method, span, started: Instant::now(), code: None }
    }
}

fn sentinel_methods() -> impl Iterator<Item = String> {
    let files = FileDescriptorSet::decode(sentinel_proto::FILE_DESCRIPTOR_SET)
        .expect("the embedded descriptors are valid");
    files.file.into_iter().flat_map(|file| {
        let package = file.package().to_owned();
        file.service.into_iter().flat_map(move |service| {
            let service_name = format!("{package}.{}", service.name());
            service
                .method
                .into_iter()
                .map(move |method| format!("{service_name}/{}", method.name()))
        })
    })
}

impl<S> Layer<S> for RpcMetricsLayer {
    type Service = MeasuredService<S>;

    fn layer(&self, inner: S) -> MeasuredService<S> {
        MeasuredService { inner, layer: self.clone() }
    }
}

/// A service that measures and traces its calls.
#[derive(Clone, Debug)]
pub struct MeasuredService<S> {
    inner: S,
    layer: RpcMetricsLayer,
}

type ResponseFuture<B, E> =
    Pin<Box<dyn Future<Output = Result<Response<MeasuredBody<B>>, E>> + Send>>;

impl<S, In, Out> Service<Request<In>> for MeasuredService<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
    S::Future: Send + 'static,
    Out: Body,
{
    type Response = Response<MeasuredBody<Out>>;
    type Error = S::Error;
    type Future = ResponseFuture<Out, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let mut call = self.layer.begin(request.uri().path(), request.headers());
        let response = call.span.in_scope(|| self.inner.call(request));
        Box::pin(async move {
            let response = response.instrument(call.span.clone()).await;
            let response = match response {
                Ok(response) => response,
                Err(error) => {
                    call.set_code(Code::Internal);
                    return Err(error);
                }
            };
            call.read_code(response.headers());
            Ok(response.map(|body| MeasuredBody { body: Box::pin(body), call: Some(call) }))
        })
    }
}

/// A running call. Its metrics are recorded when it is dropped, also when the client disconnects.
#[derive(Debug)]
struct Call {
    metrics: Metrics,
    method: Arc<str>,
    span: Span,
    started: Instant,
    code: Option<Code>,
}

impl Call {
    fn read_code(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get("grpc-status") {
            self.set_code(Code::from_bytes(status.as_bytes()));
        }
    }

    fn set_code(&mut self, code: Code) {
        self.code = Some(code);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let code = self.code.unwrap_or(Code::Cancelled);
        self.span.record("rpc.response.status_code", code_name(code));
        if is_server_error(code) {
            self.span.record("otel.status_code", "ERROR");
        }
        let context = self.span.context();
        let trace = context.span().span_context().clone();
        let exemplar = trace.is_sampled().then(|| trace.trace_id().to_string());
        self.metrics.rpc(self.method.clone(), code_name(code), self.started.elapsed(), exemplar);
    }
}

/// A response body that reads the status code from its trailers.
#[derive(Debug)]
pub struct MeasuredBody<B> {
    body: Pin<Box<B>>,
    call: Option<Call>,
}

impl<B: Body> Body for MeasuredBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let _entered = self.call.as_ref().map(|call| call.span.clone().entered());
        let polled = self.body.as_mut().poll_frame(context);
        let Some(call) = self.call.as_mut() else { return polled };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    call.read_code(trailers);
                    self.call = None;
                }
            }
            Poll::Ready(Some(Err(_))) => call.set_code(Code::Internal),
            Poll::Ready(None) => {
                call.code.get_or_insert(Code::Unknown);
                self.call = None;
            }
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Returns the name of a code in the gRPC specification.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Returns whether a code means an error of the server rather than of the client.
fn is_server_error(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}
