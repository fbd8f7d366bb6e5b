//! Connections that break on demand: a [`Wire`] stands between two processes, passes on what they say, and can be cut, fall
//! silent, become slow, lose single NATS messages, or stand still at a chosen place.
//!
//! It knows TCP's ends only: what it holds back is what a network would, but a peer's acknowledgement of a segment means
//! that the wire has it. So a silent wire reads no further, and a sender notices when the operating system's buffers are
//! full.

mod connection;
mod hold;
mod nats;
mod rules;
#[cfg(test)]
mod tests;
mod wires;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::{
    net::{TcpListener, TcpSocket},
    task::{AbortHandle, JoinSet},
    time::sleep,
};

pub use hold::Held;
pub use nats::NatsMessage;
pub use rules::{Dropped, Protocol};
use rules::{Rules, Shared};
pub use wires::{Direction, Link, Wires};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;
/// After accepting failed: file descriptors may be short for a moment.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A proxy on a port of 127.0.0.1 with one target. It goes when the last clone is dropped, and all its connections with it.
#[derive(Debug, Clone)]
pub struct Wire {
    address: SocketAddr,
    shared: Arc<Shared>,
    _task: Arc<Task>,
}

#[derive(Debug)]
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Wire {
    /// Listens, for connections that are made to `target`.
    pub fn to(target: SocketAddr, protocol: Protocol) -> Result<Self> {
        Self::new(Some(target), protocol)
    }

    /// Listens, and resets every connection until [`Wire::set_target`] says where to.
    pub fn without_target(protocol: Protocol) -> Result<Self> {
        Self::new(None, protocol)
    }

    fn new(target: Option<SocketAddr>, protocol: Protocol) -> Result<Self> {
        let (address, listener) = listen().context("a wire cannot listen")?;
        let shared = Arc::new(Shared::new(protocol, target));
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, _task: Arc::new(Task(task.abort_handle())) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where new connections go from now on.
    pub fn set_target(&self, target: SocketAddr) {
        self.shared.set_target(target);
    }
}

fn listen() -> std::io::Result<(SocketAddr, TcpListener)> {
    let socket = TcpSocket::new_v4()?;
    // Accepted connections inherit it.
    socket.set_recv_buffer_size(connection::RECEIVE_BUFFER_BYTES)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let listener = socket.listen(BACKLOG)?;
    Ok((listener.local_addr()?, listener))
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // They end when this does.
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((client, _)) => {
                let Rules { is_cut, target, .. } = *shared.rules.borrow();
                if is_cut || target.is_none() || client.set_nodelay(true).is_err() {
                    connection::reset(&client);
                } else {
                    connections.spawn(connection::serve(Arc::clone(&shared), client));
                }
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}
