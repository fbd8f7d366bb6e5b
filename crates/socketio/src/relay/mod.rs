//! Requests that landed away from their session's home: on another worker thread, or on another gateway. The home answers
//! them as if they had landed there.

mod home;
mod message;
mod remote;
mod websocket;

pub(crate) use home::answer;
pub(crate) use message::{Answer, Call, answer, call};
pub(crate) use remote::Remote;
pub(crate) use websocket::relay;
