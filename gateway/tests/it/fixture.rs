//! A server with a gateway in front of it, and a plain HTTP/1.1 client.

use std::net::{Ipv4Addr, SocketAddr};

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use prost::Message;
use sentinel_gateway::{Gateway, Limits, Settings};
use sentinel_testing::TestServer;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// A running server and gateway. Dropping it stops both.
pub(crate) struct TestGateway {
    _server: TestServer,
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl TestGateway {
    pub(crate) async fn with_limits(limits: Limits) -> Self {
        let server = TestServer::start().await;
        let mut settings = Settings::new(server.url());
        settings.limits = limits;
        Self::start(server, settings).await
    }

    pub(crate) async fn start(server: TestServer, settings: Settings) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let stop = CancellationToken::new();
        let gateway = Gateway::new(settings).expect("valid settings");
        tokio::spawn(gateway.serve(listener, stop.clone()));
        Self { _server: server, address, stop }
    }

    /// Sends a request on a new connection, so that open streams delay no other request.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let stream = TcpStream::connect(self.address).await.expect("the gateway accepts");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        sender.send_request(request).await.expect("a response")
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let host = self.address.to_string();
        Request::builder().method(method).uri(path).header(header::HOST, host)
    }

    /// Makes a gRPC-Web call.
    pub(crate) async fn call(&self, path: &str, message: &impl Message) -> Response<Incoming> {
        let request = self
            .request(Method::POST, path)
            .header(header::CONTENT_TYPE, "application/grpc-web+proto")
            .body(Full::new(frame(message).into()));
        self.send(request.expect("a valid request")).await
    }
}

/// Encodes a message with the prefix of a gRPC frame.
fn frame(message: &impl Message) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    let length = u32::try_from(bytes.len()).expect("test messages are small");
    [&[0], length.to_be_bytes().as_slice(), &bytes].concat()
}

/// Returns the status and the whole body as text.
pub(crate) async fn read(response: Response<Incoming>) -> (StatusCode, String) {
    let status = response.status();
    let bytes = response.into_body().collect().await.expect("a complete body").to_bytes();
    (status, String::from_utf8_lossy(&bytes).into_owned())
}
