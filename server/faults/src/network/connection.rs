//! One connection through the proxy: two lanes between two sockets, until both are over or
//! one breaks.

use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};

use super::lane::{self, Broken, Lane};
use super::{Direction, Faults, Shared, reset};

/// Carries bytes both ways until the connection ends, breaks, or `cut` comes.
pub(super) async fn run(
    mut near: TcpStream,
    target: SocketAddr,
    mut faults: watch::Receiver<Faults>,
    shared: &Shared,
    mut cut: oneshot::Receiver<()>,
) {
    let at_birth = *faults.borrow_and_update();
    if at_birth.swallows {
        lane::sink(&mut near, shared, &mut cut).await;
        return reset(&near);
    }
    let far = tokio::select! {
        far = TcpStream::connect(target) => far,
        _ = &mut cut => return reset(&near),
    };
    let Ok(mut far) = far else { return reset(&near) };
    // What is small and waits for more would hide what the ends do about it.
    let _ = near.set_nodelay(true);
    let _ = far.set_nodelay(true);
    let ended = {
        let (from_near, to_near) = near.split();
        let (from_far, to_far) = far.split();
        let lane = |direction| Lane { direction, shared, holes: at_birth.holes };
        let up = lane(Direction::Up).carry(from_near, to_far, faults.clone());
        let down = lane(Direction::Down).carry(from_far, to_near, faults);
        tokio::select! {
            ended = async { tokio::try_join!(up, down) } => ended.map(|_| ()),
            _ = &mut cut => Err(Broken),
        }
    };
    if ended.is_err() {
        reset(&near);
        reset(&far);
    }
}
