//! A proxy that loses what a test wants lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PASS: u8 = 0;
/// The next answer ends its connection instead of being passed on.
const CUT: u8 = 1;
/// Nothing is passed on any more, and nothing ends.
const STALL: u8 = 2;

/// Between a store and its Redis.
pub(crate) struct Cutter {
    mode: Arc<AtomicU8>,
    port: u16,
    accepting: tokio::task::JoinHandle<()>,
}

impl Cutter {
    pub(crate) async fn before(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
        let mode = Arc::new(AtomicU8::new(PASS));
        let own_port = listener.local_addr().expect("it has an address").port();
        let shared = mode.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                tokio::spawn(pass(client, server, shared.clone()));
            }
        });
        Self { mode, port: own_port, accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Loses the next answer, with its connection.
    pub(crate) fn cut_next(&self) {
        self.mode.store(CUT, Ordering::SeqCst);
    }

    pub(crate) fn stall(&self) {
        self.mode.store(STALL, Ordering::SeqCst);
    }

    pub(crate) fn pass(&self) {
        self.mode.store(PASS, Ordering::SeqCst);
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(client: TcpStream, server: TcpStream, mode: Arc<AtomicU8>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let asks = tokio::io::copy(&mut from_client, &mut to_server);
    let answers = async {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count) = from_server.read(&mut buffer).await {
            match mode.load(Ordering::SeqCst) {
                _ if count == 0 => return,
                CUT => {
                    mode.store(PASS, Ordering::SeqCst);
                    return;
                }
                STALL => std::future::pending().await,
                _ => {}
            }
            if to_client.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = asks => {}
        () = answers => {}
    }
}
