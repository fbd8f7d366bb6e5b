//! Owns how many sockets clients may have open at once: as many as this process may open files, less what it needs for
//! itself. Whoever comes beyond that is refused at once, so that the gateway never lacks a file for what keeps it alive: its
//! way to the log, to history and the directory, and the endpoint that says that it lives.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use actix_web::rt::net::TcpStream;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::SockRef;

/// Files that are kept for the process itself: the admin endpoint's 64 connections, connections to NATS, history and the
/// directory, those of the runtime, the embedded file.
const RESERVED_FILES: usize = 128;
/// And for each worker thread: those of its runtime, and clients that are on their way to being refused.
const RESERVED_FILES_PER_WORKER: usize = 16;
/// Clients that a worker may hold beyond its share, so that they are refused and do not wait.
const EXCESS_PER_WORKER: usize = 8;
/// What a client beyond the limit is told.
const REFUSAL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// The count of open sockets, and its limit.
#[derive(Debug)]
pub(crate) struct Sockets {
    open: AtomicUsize,
    max: usize,
    workers: usize,
    /// Since the last time that there was room to spare: a crowd that is refused is one line in the log.
    has_refused: AtomicBool,
}

/// The place of a client's socket; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Sockets>);

impl Sockets {
    /// As many as this process may have open, once its own limit is as high as the system lets it be.
    pub(crate) fn new(workers: usize) -> Arc<Self> {
        let max = max_of(raise_limit(), workers);
        tracing::info!(max, "client sockets are limited by the files that this process may open");
        Arc::new(Self { open: AtomicUsize::new(0), max, workers, has_refused: AtomicBool::new(false) })
    }

    /// How many clients one worker may hold, those included that it refuses. Beyond it the listener lets them wait.
    pub(crate) fn per_worker_max(&self) -> usize {
        self.max.div_ceil(self.workers.max(1)).saturating_add(EXCESS_PER_WORKER)
    }

    /// Gives a client a place, unless there is none.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<Place> {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(self));
        if before < self.max {
            return Some(place);
        }
        if !self.has_refused.swap(true, Ordering::Relaxed) {
            tracing::warn!(max = self.max, "clients are refused: raise the limit of open files (`ulimit -n`)");
        }
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let sockets = &self.0;
        let left = sockets.open.fetch_sub(1, Ordering::Relaxed) - 1;
        if left < sockets.max - sockets.max / 10 {
            sockets.has_refused.store(false, Ordering::Relaxed);
        }
    }
}

/// Answers 503 without waiting for a request, and ends the connection.
pub(crate) fn refuse(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    // A client that does not get the words sees the end of the connection all the same.
    let _ = socket.send(REFUSAL);
    let _ = socket.shutdown(std::net::Shutdown::Both);
}

/// Raises the soft limit of open files to the hard one; returns what holds then, `None` = no limit.
fn raise_limit() -> Option<u64> {
    let before = getrlimit(Resource::Nofile);
    if before.current == before.maximum {
        return before.current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum }) {
        Ok(()) => before.maximum,
        Err(error) => {
            let error = io::Error::from(error);
            tracing::warn!(%error, "the limit of open files stays as it is");
            before.current
        }
    }
}

/// What clients may have of `files`. Where there are few, half is left to them.
fn max_of(files: Option<u64>, workers: usize) -> usize {
    let files = files.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    let reserved = RESERVED_FILES.saturating_add(RESERVED_FILES_PER_WORKER.saturating_mul(workers));
    files.saturating_sub(reserved).max(files / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(max: usize) -> Arc<Sockets> {
        Arc::new(Sockets { open: AtomicUsize::new(0), max, workers: 1, has_refused: AtomicBool::new(false) })
    }

    #[test]
    fn a_place_is_free_again_when_its_socket_is_closed_and_a_refusal_takes_none() {
        let sockets = sockets(2);
        let (first, second) = (sockets.admit(), sockets.admit());
        assert!(first.is_some() && second.is_some());
        assert!(sockets.admit().is_none());
        assert!(sockets.admit().is_none());
        drop(first);
        assert!(sockets.admit().is_some());
        drop(second);
        assert_eq!(sockets.open.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn clients_get_what_the_process_does_not_need() {
        assert_eq!(max_of(Some(1_024), 2), 1_024 - 128 - 32);
        assert_eq!(max_of(Some(200), 2), 100);
        assert_eq!(max_of(Some(0), 2), 1);
        assert!(max_of(None, 64) > 1 << 40);
    }
}
