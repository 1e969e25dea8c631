//! An installation of one server and one gateway, and a client that speaks plain HTTP/1.1 to it.

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

/// A server with a gateway in front of it.
pub(crate) struct House {
    _server: TestServer,
    pub(crate) gateway: SocketAddr,
    stop: CancellationToken,
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl House {
    pub(crate) async fn with(limits: Limits) -> Self {
        let server = TestServer::start().await;
        let mut settings = Settings::new(server.url());
        settings.limits = limits;
        Self::of(server, settings).await
    }

    pub(crate) async fn of(server: TestServer, settings: Settings) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let gateway = listener.local_addr().expect("its address");
        let stop = CancellationToken::new();
        let door = Gateway::new(settings).expect("settings of a gateway");
        tokio::spawn(door.serve(listener, stop.clone()));
        Self { _server: server, gateway, stop }
    }

    /// A request on a connection of its own, so that a stream of one delays no other.
    pub(crate) async fn ask(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let stream = TcpStream::connect(self.gateway).await.expect("a connection");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        sender.send_request(request).await.expect("an answer")
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let host = self.gateway.to_string();
        Request::builder().method(method).uri(path).header(header::HOST, host)
    }

    /// A gRPC-Web call with its message.
    pub(crate) async fn call(&self, path: &str, message: &impl Message) -> Response<Incoming> {
        let request = self
            .request(Method::POST, path)
            .header(header::CONTENT_TYPE, "application/grpc-web+proto")
            .body(Full::new(frame(message).into()));
        self.ask(request.expect("a request")).await
    }
}

/// A message as gRPC frames it.
pub(crate) fn frame(message: &impl Message) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    let length = u32::try_from(bytes.len()).expect("a message of a test");
    [&[0], length.to_be_bytes().as_slice(), &bytes].concat()
}

/// The status line and all of the body, for people.
pub(crate) async fn whole(answer: Response<Incoming>) -> (StatusCode, String) {
    let status = answer.status();
    let bytes = answer.into_body().collect().await.expect("a whole body").to_bytes();
    (status, String::from_utf8_lossy(&bytes).into_owned())
}
