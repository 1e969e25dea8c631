//! What other servers did, brought to whom it concerns here.

use std::time::Duration;

use sentinel_domain::Name;
use sentinel_store::PeerEvents;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Engine;

/// Servers that are told of the same jobs ask one after another, and all together at most
/// every so often, however many there are.
const APART: Duration = Duration::from_millis(2);

/// The longest that one waits for its turn.
const TURN_MAX: Duration = Duration::from_millis(100);

/// Between two looks at everything.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// After a failure.
const PAUSE: Duration = Duration::from_millis(200);

/// When this server asks for jobs that others made ready.
struct Turn {
    ready: Vec<(Name, Name)>,
    ask_at: Option<Instant>,
    /// Not sooner, since it asked a moment ago.
    quiet_until: Instant,
    apart: Duration,
}

impl Turn {
    fn add(&mut self, news: &mut PeerEvents, chance: u64) {
        for class in news.ready.drain(..) {
            if !self.ready.contains(&class) {
                self.ready.push(class);
            }
        }
        let others = u32::try_from(news.servers.saturating_sub(1)).unwrap_or(u32::MAX);
        self.apart = APART.saturating_mul(others).min(TURN_MAX);
        if !self.ready.is_empty() && self.ask_at.is_none() {
            // The only other server has nobody to wait for.
            let spread_us =
                APART.saturating_mul(others.saturating_sub(1)).min(TURN_MAX).as_micros();
            let jitter = chance.checked_rem(spread_us as u64).unwrap_or(0);
            let at = Instant::now() + Duration::from_micros(jitter);
            self.ask_at = Some(at.max(self.quiet_until));
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The loop. In a store of one server there is never any news.
pub(crate) async fn run(engine: Engine, closing: CancellationToken) {
    let now = Instant::now();
    let mut turn = Turn { ready: Vec::new(), ask_at: None, quiet_until: now, apart: APART };
    let mut looked_at = now;
    loop {
        let news = tokio::select! {
            () = closing.cancelled() => return,
            () = until(turn.ask_at) => {
                engine.demand.hear(&turn.ready);
                turn.ready.clear();
                turn.ask_at = None;
                turn.quiet_until = Instant::now() + turn.apart;
                continue;
            }
            news = engine.store.news(engine.server) => news,
        };
        let mut news = match news {
            Ok(news) => news,
            Err(error) => {
                tracing::warn!(%error, "news from other servers could not be read");
                PeerEvents { is_incomplete: true, ..PeerEvents::default() }
            }
        };
        turn.add(&mut news, engine.chance.throw());
        if news.is_incomplete {
            engine.demand.hear_all();
            tokio::select! {
                () = tokio::time::sleep_until(looked_at + LOOK_EVERY) => {}
                () = closing.cancelled() => return,
            }
            looked_at = Instant::now();
        }
        while !engine.take_in(&news).await {
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = closing.cancelled() => return,
            }
        }
    }
}

impl Engine {
    /// Tells queues, credits and sessions. False when that must be tried again.
    async fn take_in(&self, news: &PeerEvents) -> bool {
        if (news.has_queues || news.is_incomplete)
            && let Err(error) = self.queues.refresh(self.store.as_ref()).await
        {
            tracing::warn!(%error, "queues of other servers could not be read");
            return false;
        }
        if news.has_queues {
            // One may have been resumed.
            self.demand.hear_all();
        }
        if news.jobs.is_empty() && news.sessions.is_empty() && !news.is_incomplete {
            return true;
        }
        // A job may have changed before the session that claimed it here has been told: when
        // this is answered, everything that was claimed before has been handed out.
        if self.commits.groups(Vec::new()).await.is_err() {
            return false;
        }
        for session in &news.sessions {
            self.roster.doubt(*session);
        }
        for (session, job) in &news.jobs {
            self.roster.look(*session, *job);
        }
        if news.is_incomplete {
            self.roster.look_at_all();
        }
        true
    }
}
