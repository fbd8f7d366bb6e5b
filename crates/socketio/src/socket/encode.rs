//! Socket.IO packets to clients, each within its Engine.IO message packet.

use std::io::Write as _;

use serde::Serialize;

use super::application::{AckId, ConnectRefused};
use crate::Generation;

/// Stands for the namespace that is not named in packets.
pub(super) const DEFAULT_NAMESPACE: &str = "/";

/// `[name, args…]`.
pub(super) fn event(namespace: &str, name: &str, args: &[impl Serialize], attachments: usize) -> Vec<u8> {
    let mut packet = head(if attachments == 0 { '2' } else { '5' }, attachments, namespace);
    packet.push(b'[');
    push_json(&mut packet, &name);
    for arg in args {
        packet.push(b',');
        push_json(&mut packet, arg);
    }
    packet.push(b']');
    packet
}

/// `[args…]` for the event that was sent with `id`.
pub(super) fn ack(namespace: &str, id: AckId, args: &[impl Serialize], attachments: usize) -> Vec<u8> {
    let mut packet = head(if attachments == 0 { '3' } else { '6' }, attachments, namespace);
    push_text(&mut packet, format_args!("{}[", id.0));
    for (at, arg) in args.iter().enumerate() {
        if at > 0 {
            packet.push(b',');
        }
        push_json(&mut packet, arg);
    }
    packet.push(b']');
    packet
}

/// The answer to a client that may connect.
pub(super) fn connect(namespace: &str, generation: Generation, id: &str) -> Vec<u8> {
    let mut packet = head('0', 0, namespace);
    if generation == Generation::V4 {
        push_json(&mut packet, &serde_json::json!({ "sid": id }));
    }
    packet
}

/// The answer to a client that may not.
pub(super) fn connect_error(namespace: &str, generation: Generation, refused: &ConnectRefused) -> Vec<u8> {
    #[derive(Serialize)]
    struct Content<'a> {
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'a serde_json::Value>,
    }
    let mut packet = head('4', 0, namespace);
    match generation {
        Generation::V3 => push_json(&mut packet, &refused.message),
        Generation::V4 => push_json(&mut packet, &Content { message: &refused.message, data: refused.data.as_ref() }),
    }
    packet
}

/// The end of one namespace.
pub(super) fn disconnect(namespace: &str) -> Vec<u8> {
    head('1', 0, namespace)
}

fn head(kind: char, attachments: usize, namespace: &str) -> Vec<u8> {
    let mut packet = Vec::with_capacity(256);
    push_text(&mut packet, format_args!("4{kind}"));
    if attachments > 0 {
        push_text(&mut packet, format_args!("{attachments}-"));
    }
    if namespace != DEFAULT_NAMESPACE {
        push_text(&mut packet, format_args!("{namespace},"));
    }
    packet
}

fn push_text(packet: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing into memory does not fail.
    let _ = packet.write_fmt(text);
}

fn push_json(packet: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    let start = packet.len();
    if serde_json::to_writer(&mut *packet, value).is_err() {
        packet.truncate(start);
        packet.extend_from_slice(b"null");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(packet: Vec<u8>) -> String {
        String::from_utf8(packet).unwrap()
    }

    #[test]
    fn packets_have_the_published_form() {
        assert_eq!(text(event("/", "foo", &[1], 0)), r#"42["foo",1]"#);
        assert_eq!(text(event("/admin", "b\"r", &[json!({}), json!(null)], 0)), r#"42/admin,["b\"r",{},null]"#);
        assert_eq!(text(event("/admin", "baz", &[0], 2)), r#"452-/admin,["baz",0]"#);
        assert_eq!(text(ack("/", AckId(12), &["bar"], 0)), r#"4312["bar"]"#);
        assert_eq!(text(ack("/admin", AckId(13), &[0; 0], 0)), "43/admin,13[]");
        assert_eq!(text(ack("/", AckId(15), &["bar", "x"], 1)), r#"461-15["bar","x"]"#);
        assert_eq!(text(connect("/", Generation::V4, "a")), r#"40{"sid":"a"}"#);
        assert_eq!(text(connect("/admin", Generation::V3, "a")), "40/admin,");
        assert_eq!(text(disconnect("/admin")), "41/admin,");
        let refused = ConnectRefused { message: "no".to_owned(), data: Some(json!({"code": 1})) };
        assert_eq!(text(connect_error("/", Generation::V4, &refused)), r#"44{"message":"no","data":{"code":1}}"#);
        assert_eq!(text(connect_error("/x", Generation::V3, &refused)), r#"44/x,"no""#);
    }

    #[test]
    fn what_has_no_json_form_becomes_null() {
        let no_json = std::collections::HashMap::from([((1, 2), 3)]);
        assert_eq!(text(event("/", "foo", &[no_json], 0)), r#"42["foo",null]"#);
    }
}
