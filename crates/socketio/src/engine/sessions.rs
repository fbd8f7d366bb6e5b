//! The sessions of one worker thread, by their secret.

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::Inner;

/// Random bytes of a session's id.
pub(crate) const SECRET_BYTES: usize = 24;

/// The part of a session's id that nobody can guess.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Secret(pub(crate) [u8; SECRET_BYTES]);

impl Secret {
    pub(crate) fn random() -> Self {
        Self(rand::random())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// All sessions that are open, or that still have something to hand out or to hand on.
pub(crate) struct Sessions {
    by_secret: RefCell<HashMap<Secret, Rc<Inner>>>,
    /// Those of all worker threads.
    total: Arc<AtomicUsize>,
}

impl Sessions {
    pub(crate) fn new(total: Arc<AtomicUsize>) -> Self {
        Self { by_secret: RefCell::default(), total }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_secret.borrow().len()
    }

    pub(crate) fn insert(&self, secret: Secret, session: Rc<Inner>) {
        self.by_secret.borrow_mut().insert(secret, session);
        self.total.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn remove(&self, secret: Secret) {
        // Dropped when the map is free again: a session's end may reach back here.
        let removed = self.by_secret.borrow_mut().remove(&secret);
        if removed.is_some() {
            self.total.fetch_sub(1, Ordering::Relaxed);
        }
        drop(removed);
    }

    /// The session, unless it is over for its client.
    pub(crate) fn get(&self, secret: Secret) -> Option<Rc<Inner>> {
        let session = self.by_secret.borrow().get(&secret).map(Rc::clone)?;
        session.expire();
        self.by_secret.borrow().get(&secret).filter(|session| session.is_reachable()).map(Rc::clone)
    }
}
