//! One connection through the proxy: it forwards both directions until both are closed or one fails.

use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};

use super::direction::{self, ConnectionFailed, Forward};
use super::{Direction, Faults, ProxyState, reset};

/// Forwards bytes both ways until the connection closes, fails or is cut.
pub(super) async fn run(
    mut client: TcpStream,
    target: SocketAddr,
    mut faults: watch::Receiver<Faults>,
    state: &ProxyState,
    mut cut: oneshot::Receiver<()>,
) {
    let at_accept = *faults.borrow_and_update();
    if at_accept.discards {
        direction::discard_all(&mut client, state, &mut cut).await;
        return reset(&client);
    }
    let connected = tokio::select! {
        connected = TcpStream::connect(target) => connected,
        _ = &mut cut => return reset(&client),
    };
    let Ok(mut server) = connected else { return reset(&client) };
    // Nagle's algorithm would change the timing between the ends.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let ended = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let discard_count = at_accept.discard_count;
        let forward = |direction| Forward { direction, state, discard_count };
        let up = forward(Direction::Up).run(from_client, to_server, faults.clone());
        let down = forward(Direction::Down).run(from_server, to_client, faults);
        tokio::select! {
            ended = async { tokio::try_join!(up, down) } => ended.map(|_| ()),
            _ = &mut cut => Err(ConnectionFailed),
        }
    };
    if ended.is_err() {
        reset(&client);
        reset(&server);
    }
}
