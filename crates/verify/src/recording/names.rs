//! Names and texts of a recording, each held once.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc};

/// A text of one recording: equal names are equal texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name(NonZeroU32);

/// All texts of a recording.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    texts: Vec<Arc<str>>,
    by_text: HashMap<Arc<str>, Name>,
}

impl Names {
    /// The name of `text`, made when it is new.
    ///
    /// # Panics
    ///
    /// With more than 2^32 - 1 different texts, which do not fit into memory beside their lines.
    pub(crate) fn name(&mut self, text: &str) -> Name {
        if let Some(name) = self.by_text.get(text) {
            return *name;
        }
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        let number = u32::try_from(self.texts.len()).ok().and_then(NonZeroU32::new);
        // Memory ends long before.
        let name = Name(number.expect("more names than fit into memory"));
        self.by_text.insert(text, name);
        name
    }

    /// The name of `text`, if the recording has it.
    pub(crate) fn find(&self, text: &str) -> Option<Name> {
        self.by_text.get(text).copied()
    }

    pub(crate) fn text(&self, name: Name) -> &str {
        &self.texts[name.0.get() as usize - 1]
    }
}
