//! The limit of a WebSocket frame, held as soon as the frame is announced. The frame parser judges a length only when it
//! has gathered the whole frame, however long that is.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

/// Bytes of a frame's head up to the end of the longest length (RFC 6455, section 5.2).
const LENGTH_END_MAX: usize = 10;
const MASK_BYTES: u64 = 4;

/// A client's byte stream that ends with [`PayloadError::Overflow`] at the head of a frame that is too long.
pub(crate) struct FrameLimit<S> {
    stream: S,
    frames: Frames,
}

/// Where in its frames a byte stream stands.
struct Frames {
    payload_bytes_max: u64,
    /// What has come of the head under way.
    head: [u8; LENGTH_END_MAX],
    head_bytes: usize,
    /// Bytes of mask and payload that are still to come before the next head.
    rest: u64,
}

impl<S> FrameLimit<S> {
    pub(crate) fn new(stream: S, payload_bytes_max: usize) -> Self {
        let payload_bytes_max = payload_bytes_max as u64;
        let frames = Frames { payload_bytes_max, head: [0; LENGTH_END_MAX], head_bytes: 0, rest: 0 };
        Self { stream, frames }
    }
}

impl<S: Stream<Item = Result<Bytes, PayloadError>> + Unpin> Stream for FrameLimit<S> {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.stream.poll_next_unpin(cx));
        Poll::Ready(match next {
            Some(Ok(bytes)) if !self.frames.allow(&bytes) => Some(Err(PayloadError::Overflow)),
            next => next,
        })
    }
}

impl Frames {
    /// Goes on by `bytes`; says whether every frame that they announce is within the limit.
    fn allow(&mut self, mut bytes: &[u8]) -> bool {
        while let Some((first, others)) = bytes.split_first() {
            if self.rest > 0 {
                let skipped = usize::try_from(self.rest).unwrap_or(usize::MAX).min(bytes.len());
                self.rest -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            bytes = others;
            self.head[self.head_bytes] = *first;
            self.head_bytes += 1;
            if let Some(length) = self.length() {
                if length > self.payload_bytes_max {
                    return false;
                }
                self.head_bytes = 0;
                self.rest = MASK_BYTES + length;
            }
        }
        true
    }

    /// The length of the frame under way, once enough of its head has come.
    fn length(&self) -> Option<u64> {
        let head = &self.head[..self.head_bytes];
        match head.get(1)? & 0x7f {
            126 => Some(u16::from_be_bytes(*head.get(2..)?.first_chunk()?).into()),
            127 => Some(u64::from_be_bytes(*head.get(2..)?.first_chunk()?)),
            length => Some(length.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_http::ws::{OpCode, Parser};
    use bytes::BytesMut;

    use super::*;

    const MAX: usize = 70_000;

    fn frames(lengths: &[usize]) -> BytesMut {
        let mut bytes = BytesMut::new();
        for length in lengths {
            Parser::write_message(&mut bytes, vec![0xff; *length], OpCode::Binary, true, true);
        }
        bytes
    }

    fn is_allowed(bytes: &[u8], piece: usize) -> bool {
        let mut frames = FrameLimit::new((), MAX).frames;
        bytes.chunks(piece).all(|piece| frames.allow(piece))
    }

    #[test]
    fn frames_are_told_apart_wherever_they_are_cut() {
        let good = frames(&[0, 1, 125, 126, 65_535, 65_536, 0, MAX]);
        let bad = frames(&[0, 125, 65_536, MAX + 1]);
        for piece in [1, 2, 3, 7, 1_024, 1 << 20] {
            assert!(is_allowed(&good, piece), "{piece}");
            assert!(!is_allowed(&bad, piece), "{piece}");
        }
    }

    #[test]
    fn a_frame_is_refused_by_its_head_alone() {
        for length in [MAX as u64 + 1, 1 << 40, u64::MAX] {
            let head = [&[0x82, 0xff][..], &length.to_be_bytes()].concat();
            assert!(!is_allowed(&head, 1), "{length}");
            assert!(is_allowed(&head[..9], 1), "{length}");
        }
    }
}
