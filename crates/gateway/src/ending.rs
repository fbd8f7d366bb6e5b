//! The way out of a gateway: who is connected is told to go, and nothing that is on its way gets lost.

use std::{net::TcpListener, sync::Arc, time::Duration};

use actix_web::dev::ServerHandle;
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    listening::{let_the_last_in, refuse_all},
    relay::Relay,
    worker::WorkerMessage,
};

/// Added to the drain while sessions of Socket.IO, which may have no connection at the moment, have something to hand out.
const SESSIONS_MARGIN: Duration = Duration::from_millis(1_500);
/// How often it is looked whether they still have.
const SESSIONS_INTERVAL: Duration = Duration::from_millis(20);
/// How long the answers to other gateways, the last of which tell clients to go, may take to leave this process.
const ANSWERS_PATIENCE: Duration = Duration::from_millis(200);
/// After that, before the connections that are left are cut off.
const CONNECTIONS_MARGIN: Duration = Duration::from_secs(1);

/// What takes part.
pub(crate) struct Ending {
    /// The time over which clients are told to go.
    pub(crate) drain: Duration,
    pub(crate) relay: Arc<Relay>,
    pub(crate) sessions: Option<Arc<huddle_socketio::Server>>,
    /// The socket that the server listens on.
    pub(crate) listener: TcpListener,
    pub(crate) handle: ServerHandle,
}

/// How long a drain takes at most.
pub(crate) fn longest(drain: Duration) -> Duration {
    drain + SESSIONS_MARGIN + CONNECTIONS_MARGIN
}

impl Ending {
    /// Ends the server, within the [longest] time.
    pub(crate) async fn run(self) {
        let Self { drain, relay, sessions, listener, handle } = self;
        let begin = Instant::now();
        relay.broadcast(|| WorkerMessage::Drain { over: drain }).await;
        let_the_last_in(&listener).await;
        // Otherwise what accepts would complain of the socket.
        handle.pause().await;
        refuse_all(&listener);
        if let Some(sessions) = sessions {
            let until = begin + drain + SESSIONS_MARGIN;
            while Instant::now() < until && sessions.session_count() > 0 {
                sleep(SESSIONS_INTERVAL).await;
            }
            sleep(ANSWERS_PATIENCE).await;
        }
        // Waits for the connections.
        if timeout_at(begin + longest(drain), handle.stop(true)).await.is_err() {
            handle.stop(false).await;
        }
    }
}
