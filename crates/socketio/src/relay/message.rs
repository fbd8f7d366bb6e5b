//! What is said between where a request landed and its session's home. All of it holds secrets or what clients say.

use std::fmt;

use bytes::Bytes;

use self::content::Content;
use crate::engine;

/// A request to a session's home.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct Call {
    #[prost(uint32, tag = "1")]
    pub(crate) worker: u32,
    /// The secret of the session's id.
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) secret: Bytes,
    /// The token of the request that is passed on.
    #[prost(string, optional, tag = "3")]
    pub(crate) token: Option<String>,
    #[prost(oneof = "call::Kind", tags = "4, 5, 6, 7, 8, 9, 10, 11, 12, 13")]
    pub(crate) kind: Option<call::Kind>,
}

pub(crate) mod call {
    use super::{Messages, Post, Take};

    #[derive(Clone, PartialEq, prost::Oneof)]
    #[prost(skip_debug)]
    pub(crate) enum Kind {
        /// A hop of the poll with this id.
        #[prost(fixed64, tag = "4")]
        Poll(u64),
        /// The client that sent the poll is gone.
        #[prost(fixed64, tag = "5")]
        CancelPoll(u64),
        #[prost(message, tag = "6")]
        Post(Post),
        /// A WebSocket has been opened for the session.
        #[prost(bool, tag = "7")]
        Attach(bool),
        #[prost(message, tag = "8")]
        Messages(Messages),
        #[prost(message, tag = "9")]
        Take(Take),
        /// The WebSocket with this id is gone.
        #[prost(fixed64, tag = "10")]
        Detach(u64),
        /// The client has been told that the session is lost, since no answer came.
        #[prost(bool, tag = "11")]
        End(bool),
        /// The poll with this id is to be answered now, if only with nothing: it lands elsewhere from here on.
        #[prost(fixed64, tag = "12")]
        EndPoll(u64),
        /// The WebSocket with this id is about to be cut off.
        #[prost(fixed64, tag = "13")]
        SendAway(u64),
    }
}

/// A body that was posted.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct Post {
    #[prost(fixed64, tag = "1")]
    pub(crate) id: u64,
    #[prost(message, required, tag = "2")]
    pub(crate) payload: Payload,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) body: Bytes,
    #[prost(bool, tag = "2")]
    pub(crate) is_binary: bool,
}

/// Messages that came over a WebSocket.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct Messages {
    #[prost(fixed64, tag = "1")]
    pub(crate) link: u64,
    /// The number of the first one since the WebSocket's beginning.
    #[prost(uint64, tag = "2")]
    pub(crate) first: u64,
    #[prost(message, repeated, tag = "3")]
    pub(crate) batch: Vec<Message>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct Message {
    #[prost(oneof = "content::Content", tags = "1, 2")]
    pub(crate) content: Option<content::Content>,
}

pub(crate) mod content {
    use bytes::Bytes;

    #[derive(Clone, PartialEq, prost::Oneof)]
    #[prost(skip_debug)]
    pub(crate) enum Content {
        #[prost(bytes = "bytes", tag = "1")]
        Text(Bytes),
        #[prost(bytes = "bytes", tag = "2")]
        Binary(Bytes),
    }
}

/// Asks what a WebSocket is to send.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Take {
    #[prost(fixed64, tag = "1")]
    pub(crate) link: u64,
    /// Frames that have been received so far.
    #[prost(uint64, tag = "2")]
    pub(crate) received: u64,
    /// False when only the end is asked for.
    #[prost(bool, tag = "3")]
    pub(crate) has_room: bool,
}

/// What the home answers.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct Answer {
    #[prost(oneof = "answer::Kind", tags = "1, 2, 3, 4, 5, 6, 7, 8")]
    pub(crate) kind: Option<answer::Kind>,
}

pub(crate) mod answer {
    use super::{Frames, Payload};

    #[derive(Clone, PartialEq, prost::Oneof)]
    #[prost(skip_debug)]
    pub(crate) enum Kind {
        /// The answer to a poll.
        #[prost(message, tag = "1")]
        Payload(Payload),
        /// To be asked again; nothing has changed.
        #[prost(bool, tag = "2")]
        Again(bool),
        /// Done as asked.
        #[prost(bool, tag = "3")]
        Done(bool),
        /// The number of a refusal.
        #[prost(uint32, tag = "4")]
        Refused(u32),
        /// The id of a WebSocket that has been attached.
        #[prost(fixed64, tag = "5")]
        Attached(u64),
        /// The session has a WebSocket already.
        #[prost(bool, tag = "6")]
        Taken(bool),
        /// The number of the message that is to come next.
        #[prost(uint64, tag = "7")]
        Next(u64),
        #[prost(message, tag = "8")]
        Frames(Frames),
    }
}

/// Finished frames for a WebSocket.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct Frames {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(crate) frames: Vec<Bytes>,
    #[prost(bool, tag = "2")]
    pub(crate) are_last: bool,
}

/// Shows no field: among them are secrets, and what clients say.
macro_rules! debug_by_name {
    ($($message:ty),*) => {$(
        impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($message))
            }
        }
    )*};
}

debug_by_name!(Call, call::Kind, Post, Payload, Messages, Message, Content, Answer, answer::Kind, Frames);

impl Answer {
    pub(crate) fn refused(refusal: engine::Refusal) -> Self {
        answer::Kind::Refused(refusal.code()).into()
    }
}

impl From<answer::Kind> for Answer {
    fn from(kind: answer::Kind) -> Self {
        Self { kind: Some(kind) }
    }
}

impl From<engine::Payload> for Payload {
    fn from(payload: engine::Payload) -> Self {
        Self { body: payload.body, is_binary: payload.is_binary }
    }
}

impl From<Payload> for engine::Payload {
    fn from(payload: Payload) -> Self {
        Self { body: payload.body, is_binary: payload.is_binary }
    }
}

impl From<engine::Message> for Message {
    fn from(message: engine::Message) -> Self {
        let content = match message {
            engine::Message::Text(text) => Content::Text(text),
            engine::Message::Binary(bytes) => Content::Binary(bytes),
        };
        Self { content: Some(content) }
    }
}

impl From<Message> for engine::Message {
    fn from(message: Message) -> Self {
        match message.content {
            Some(Content::Text(text)) => Self::Text(text),
            Some(Content::Binary(bytes)) => Self::Binary(bytes),
            // No packet: the session ends, as after anything that cannot be understood.
            None => Self::Text(Bytes::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_debug_text_shows_secrets_or_what_clients_say() {
        let payload = Payload { body: Bytes::from_static(b"said"), is_binary: false };
        let call = Call {
            worker: 0,
            secret: Bytes::from_static(b"said"),
            token: Some("said".to_owned()),
            kind: Some(call::Kind::Post(Post { id: 1, payload: payload.clone() })),
        };
        assert!(!format!("{call:?} {:?}", Answer::from(answer::Kind::Payload(payload))).contains("said"));
    }
}
