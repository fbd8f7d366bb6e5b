//! The handshake: from a request to a response that an outbox feeds, and the messages that the client sends.

use std::rc::Rc;

use actix_http::BoxedPayloadStream;
use actix_web::{FromRequest as _, HttpRequest, HttpResponse, dev, error::ErrorBadRequest, http::Version, web};
use actix_ws::AggregatedMessageStream;

use crate::{Outbox, OutboxBody, frame_limit::FrameLimit};

/// A WebSocket whose handshake is right.
pub struct Accepted {
    /// Answers the handshake; then its body carries what the outbox holds.
    pub response: HttpResponse,
    /// What the client sends: whole messages, also such as came in pieces. Ends with
    /// [`PayloadError::Overflow`](actix_web::error::PayloadError::Overflow) at the head of a frame that is too long.
    pub messages: AggregatedMessageStream,
}

impl std::fmt::Debug for Accepted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accepted").finish_non_exhaustive()
    }
}

/// Accepts a WebSocket, or says what is wrong with the handshake. Of `protocols` the first that the client names is
/// chosen. A frame, and a message in pieces, has at most `message_bytes_max` bytes. The socket is closed when `outbox` is
/// closed and drained.
pub async fn accept(
    request: &HttpRequest,
    payload: web::Payload,
    protocols: &[&str],
    message_bytes_max: usize,
    outbox: Rc<Outbox>,
) -> Result<Accepted, actix_web::Error> {
    if request.version() < Version::HTTP_11 {
        // An HTTP/1.0 request has no body without a length, so nothing that the client says would be read.
        return Err(ErrorBadRequest("a WebSocket needs HTTP/1.1, and this request came in HTTP/1.0\n"));
    }
    let limited: BoxedPayloadStream = Box::pin(FrameLimit::new(payload.into_inner(), message_bytes_max));
    let mut limited = dev::Payload::Stream { payload: limited };
    let payload = web::Payload::from_request(request, &mut limited).await?;
    // The session that would encode each frame anew for each receiver is not used: the outbox sends shared frames.
    let (response, _session, messages) = actix_ws::handle_with_protocols(request, payload, protocols)?;
    let messages =
        messages.max_frame_size(message_bytes_max).aggregate_continuations().max_continuation_size(message_bytes_max);
    let response = response.map_body(|_, handshake| OutboxBody::new(outbox, handshake)).map_into_boxed_body();
    Ok(Accepted { response, messages })
}
