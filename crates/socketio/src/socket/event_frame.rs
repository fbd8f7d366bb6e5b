//! Events to clients, encoded once for all their receivers.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use huddle_websocket::frame;
use serde::Serialize;

use super::encode;
use crate::{Generation, engine::MESSAGE_V3};

/// A finished event packet of one namespace, shared by all its receivers, of both generations and on both transports:
/// cloning it copies no bytes.
#[derive(Clone)]
pub struct EventFrame {
    text: Bytes,
    attachments: Option<Arc<[Attachment]>>,
}

/// An attachment as a finished frame: Engine.IO 3 puts the packet's type before the bytes.
struct Attachment {
    v3: Bytes,
    v4: Bytes,
}

impl fmt::Debug for EventFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventFrame").field("bytes", &self.text.len()).finish_non_exhaustive()
    }
}

impl EventFrame {
    /// An event with one argument. An argument that has no JSON form becomes `null`.
    pub fn new(namespace: &str, name: &str, args: &impl Serialize) -> Self {
        Self::with_args(namespace, name, std::slice::from_ref(args))
    }

    /// An event with any number of arguments.
    pub fn with_args(namespace: &str, name: &str, args: &[impl Serialize]) -> Self {
        Self::with_attachments(namespace, name, args, &[])
    }

    /// An event with binary attachments, in whose places the arguments hold `{"_placeholder":true,"num":n}`.
    pub fn with_attachments(namespace: &str, name: &str, args: &[impl Serialize], attachments: &[Bytes]) -> Self {
        Self::finished(&encode::event(namespace, name, args, attachments.len()), attachments)
    }

    pub(super) fn finished(packet: &[u8], attachments: &[Bytes]) -> Self {
        let finish = |bytes: &Bytes| Attachment {
            v3: frame::binary(&[&[MESSAGE_V3][..], bytes].concat()),
            v4: frame::binary(bytes),
        };
        let attachments = (!attachments.is_empty()).then(|| attachments.iter().map(finish).collect());
        Self { text: frame::text(packet), attachments }
    }

    /// The frames, in the order in which they go out.
    pub(super) fn into_frames(self, generation: Generation) -> impl Iterator<Item = Bytes> {
        let count = self.attachments.as_ref().map_or(0, |attachments| attachments.len());
        let attachments = (0..count).filter_map(move |at| {
            let attachment = self.attachments.as_ref()?.get(at)?;
            Some(match generation {
                Generation::V3 => attachment.v3.clone(),
                Generation::V4 => attachment.v4.clone(),
            })
        });
        std::iter::once(self.text).chain(attachments)
    }
}
