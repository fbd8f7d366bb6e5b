//! What a client said when it opened its session.

use std::net::SocketAddr;

/// The generation of the protocols that a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Generation {
    /// Engine.IO 3 with Socket.IO protocol 4: the clients of Socket.IO 1 and 2.
    V3,
    /// Engine.IO 4 with Socket.IO protocol 5: the clients since Socket.IO 3.
    V4,
}

/// The first request of a session. Kept as long as the session.
#[derive(Clone, PartialEq, Eq)]
pub struct Handshake {
    /// The generation that the client speaks.
    pub generation: Generation,
    /// The query parameter `token`, else what follows `Bearer` in the header `Authorization`. A secret.
    pub token: Option<String>,
    /// The other query parameters, decoded, in their order, without those of Engine.IO itself.
    pub query: Vec<(String, String)>,
    /// The other end of the TCP connection.
    pub peer: Option<SocketAddr>,
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither the token nor the query, which may hold others' secrets.
        f.debug_struct("Handshake")
            .field("generation", &self.generation)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}
