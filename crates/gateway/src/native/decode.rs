//! Client frames, from bytes.

use actix_ws::AggregatedMessage;
use huddle_domain::ClientId;
use huddle_proto::{
    Refusal,
    gateway::v1::{ClientFrame, ErrorCode, client_frame},
};
use prost::Message as _;
use serde::Deserialize;

use super::Encoding;

/// A request and the id under which it is answered.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: String,
    pub(crate) request: client_frame::Request,
}

/// A frame that holds no request.
#[derive(Debug)]
pub(crate) struct BadFrame {
    /// The request's id as far as it could be read; else empty.
    pub(crate) id: String,
    pub(crate) refusal: Refusal,
}

impl BadFrame {
    fn new(id: String, code: ErrorCode, message: &'static str) -> Self {
        Self { id, refusal: Refusal::new(code, message) }
    }
}

/// Decodes a text or binary message. The error texts say nothing of the frame's content.
pub(crate) fn decode(encoding: Encoding, message: &AggregatedMessage) -> Result<Request, BadFrame> {
    let frame = match (encoding, message) {
        (Encoding::Json, AggregatedMessage::Text(text)) => {
            serde_json::from_str::<ClientFrame>(text).map_err(|error| {
                let message =
                    format!("the frame is not a valid JSON request (line {}, column {})", error.line(), error.column());
                BadFrame { id: id_of_json(text), refusal: Refusal::new(ErrorCode::Malformed, message) }
            })?
        }
        (Encoding::Proto, AggregatedMessage::Binary(bytes)) => ClientFrame::decode(bytes.clone()).map_err(|_| {
            BadFrame::new(String::new(), ErrorCode::Malformed, "the frame is not a valid protobuf ClientFrame")
        })?,
        (Encoding::Json, _) => {
            let message = "this connection speaks JSON in text frames (subprotocol huddle.v1.json)";
            return Err(BadFrame::new(String::new(), ErrorCode::Malformed, message));
        }
        (Encoding::Proto, _) => {
            let message = "this connection speaks protobuf in binary frames (subprotocol huddle.v1.proto)";
            return Err(BadFrame::new(String::new(), ErrorCode::Malformed, message));
        }
    };
    // Requests' ids have the alphabet of all client-made ids, so that nothing else is ever echoed.
    if ClientId::parse(&frame.id).is_err() {
        let message = "the request's `id` must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -";
        return Err(BadFrame::new(String::new(), ErrorCode::InvalidId, message));
    }
    match frame.request {
        Some(request) => Ok(Request { id: frame.id, request }),
        None => Err(BadFrame::new(
            frame.id,
            ErrorCode::UnknownRequest,
            "the frame holds no request that this version knows",
        )),
    }
}

/// The id in a JSON object that is otherwise no request, if it is fit to be echoed.
fn id_of_json(text: &str) -> String {
    #[derive(Deserialize)]
    struct Id {
        id: String,
    }
    serde_json::from_str::<Id>(text)
        .ok()
        .map(|frame| frame.id)
        .filter(|id| ClientId::parse(id).is_ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Result<Request, BadFrame> {
        decode(Encoding::Json, &AggregatedMessage::Text(text.into()))
    }

    #[test]
    fn every_bad_frame_has_its_code_and_keeps_its_id_when_it_can_be_read() {
        let cases = [
            ("", "", ErrorCode::Malformed),
            ("[]", "", ErrorCode::Malformed),
            ("{\"id\":\"7\",\"send\":{\"team\":5}}", "7", ErrorCode::Malformed),
            ("{\"id\":\"7\",\"send\":{\"body\":\"\\ud800\"}}", "7", ErrorCode::Malformed),
            ("{\"id\":\"7\",\"fly\":{}}", "7", ErrorCode::UnknownRequest),
            ("{\"id\":\"7\"}", "7", ErrorCode::UnknownRequest),
            ("{\"ping\":{}}", "", ErrorCode::InvalidId),
            ("{\"id\":\"a b\",\"ping\":{}}", "", ErrorCode::InvalidId),
        ];
        for (text, id, code) in cases {
            let bad = json(text).unwrap_err();
            assert_eq!((bad.id.as_str(), bad.refusal.code), (id, code), "{text}");
        }
        let deep = format!("{{\"id\":\"1\",\"x\":{}", "[".repeat(10_000));
        assert_eq!(json(&deep).unwrap_err().refusal.code, ErrorCode::Malformed);
    }

    #[test]
    fn numbers_and_strings_are_taken_for_positions() {
        for text in
            [r#"{"id":"1","subscribe":{"team":"t","after":"7"}}"#, r#"{"id":"1","subscribe":{"team":"t","after":7}}"#]
        {
            let client_frame::Request::Subscribe(subscribe) = json(text).unwrap().request else { panic!("{text}") };
            assert_eq!(subscribe.after, Some(7));
        }
    }

    #[test]
    fn a_frame_of_the_other_encoding_is_malformed() {
        let binary = AggregatedMessage::Binary(vec![0xff_u8; 3].into());
        assert_eq!(decode(Encoding::Json, &binary).unwrap_err().refusal.code, ErrorCode::Malformed);
        assert_eq!(decode(Encoding::Proto, &binary).unwrap_err().refusal.code, ErrorCode::Malformed);
        let text = AggregatedMessage::Text("{}".into());
        assert_eq!(decode(Encoding::Proto, &text).unwrap_err().refusal.code, ErrorCode::Malformed);
    }
}
