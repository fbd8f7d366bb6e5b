//! The list of revoked tokens, shared by everyone who checks one. It knows neither when it changes nor where it comes from.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

/// The ids (`jti`) of the tokens that are revoked, although they have not expired. Starts empty. Cheap to clone; clones
/// share the list.
#[derive(Clone, Default)]
pub struct Revocations {
    // Locked to copy or to exchange the pointer: a list of a million ids is never searched, built or freed under the lock.
    ids: Arc<RwLock<Arc<HashSet<Box<str>>>>>,
}

impl Revocations {
    /// Whether the token `id` is revoked now.
    pub fn contains(&self, id: &str) -> bool {
        self.current().contains(id)
    }

    /// Puts `ids` in the place of the whole list. It holds for every check that begins afterwards.
    pub fn replace(&self, ids: HashSet<Box<str>>) {
        let ids = Arc::new(ids);
        let before = std::mem::replace(&mut *self.ids.write().unwrap_or_else(PoisonError::into_inner), ids);
        drop(before);
    }

    /// How many tokens are revoked now.
    pub fn len(&self) -> usize {
        self.current().len()
    }

    /// Whether no token is.
    pub fn is_empty(&self) -> bool {
        self.current().is_empty()
    }

    fn current(&self) -> Arc<HashSet<Box<str>>> {
        Arc::clone(&self.ids.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations").field("len", &self.len()).finish_non_exhaustive()
    }
}
