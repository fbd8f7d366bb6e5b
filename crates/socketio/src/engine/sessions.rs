//! The sessions of one worker thread, by their secret.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

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
#[derive(Default)]
pub(crate) struct Sessions(RefCell<HashMap<Secret, Rc<Inner>>>);

impl Sessions {
    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    pub(crate) fn insert(&self, secret: Secret, session: Rc<Inner>) {
        self.0.borrow_mut().insert(secret, session);
    }

    pub(crate) fn remove(&self, secret: Secret) {
        // Dropped when the map is free again: a session's end may reach back here.
        let removed = self.0.borrow_mut().remove(&secret);
        drop(removed);
    }

    /// The session, unless it is over for its client.
    pub(crate) fn get(&self, secret: Secret) -> Option<Rc<Inner>> {
        let session = self.0.borrow().get(&secret).map(Rc::clone)?;
        session.expire();
        self.0.borrow().get(&secret).filter(|session| session.is_reachable()).map(Rc::clone)
    }
}
