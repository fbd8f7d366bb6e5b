//! Socket.IO packets that clients send. Nothing of what is decoded here may panic, recurse, or take more memory than a
//! small multiple of its input.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::encode::DEFAULT_NAMESPACE;
use crate::engine::Violation;

/// Binary attachments of one packet.
const ATTACHMENTS_MAX: usize = 10;
/// Bytes of a namespace's name; a query behind it does not count.
const NAMESPACE_BYTES_MAX: usize = 128;
/// Arguments of one event, its name included.
const ARGS_MAX: usize = 128;
/// Levels of arrays and objects, the array of the arguments included: what `serde_json` can read into a value.
const DEPTH_MAX: usize = 127;
/// Bytes of a CONNECT packet's payload: it is read into a value, which takes many times its text.
const CONNECT_BYTES_MAX: usize = 64 * 1024;
/// Names of events that clients may not send: the libraries use them themselves.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// A packet of a client, its payload not read yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) kind: Kind,
    pub(super) namespace: &'a str,
    pub(super) payload: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Connect,
    Disconnect,
    Event { ack: Option<u64>, attachments: usize },
    Ack { attachments: usize },
}

/// What an event carries.
#[derive(Debug)]
pub(super) struct Args {
    pub(super) name: String,
    pub(super) args: Vec<Box<RawValue>>,
}

impl<'a> Packet<'a> {
    pub(super) fn decode(text: &'a str) -> Result<Self, Violation> {
        let (kind, rest) = text.split_at_checked(1).ok_or(Violation::SocketPacket)?;
        let (attachments, rest) = match kind {
            "5" | "6" => split_attachments(rest)?,
            _ => (0, rest),
        };
        let (namespace, rest) = split_namespace(rest)?;
        let (kind, payload) = match kind {
            "0" => (Kind::Connect, rest),
            "1" if rest.is_empty() => (Kind::Disconnect, rest),
            "2" | "5" => {
                let (ack, payload) = split_ack(rest)?;
                (Kind::Event { ack, attachments }, payload)
            }
            "3" | "6" => {
                let (ack, payload) = split_ack(rest)?;
                ack.ok_or(Violation::AckId)?;
                (Kind::Ack { attachments }, payload)
            }
            // A CONNECT_ERROR comes from servers only.
            _ => return Err(Violation::SocketPacket),
        };
        Ok(Self { kind, namespace, payload })
    }
}

/// Reads a packet with its payload, as is done with one that has come in.
pub(crate) fn decode_text(text: &str) -> Result<(), Violation> {
    let packet = Packet::decode(text)?;
    match packet.kind {
        Kind::Connect => parse_connect(packet.payload).map(drop),
        Kind::Disconnect => Ok(()),
        Kind::Event { .. } => parse_event(packet.payload).map(drop),
        Kind::Ack { .. } => parse_args(packet.payload).map(drop),
    }
}

/// `<count>-`.
fn split_attachments(text: &str) -> Result<(usize, &str), Violation> {
    let (count, rest) = text.split_once('-').ok_or(Violation::SocketPacket)?;
    if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Violation::SocketPacket);
    }
    // What is no number now is too large for one.
    match count.parse() {
        Ok(count) if count <= ATTACHMENTS_MAX => Ok((count, rest)),
        _ => Err(Violation::AttachmentLimit),
    }
}

/// `/<name>[?<query>],`, where the comma may be missing at the end; nothing for the default namespace.
fn split_namespace(text: &str) -> Result<(&str, &str), Violation> {
    if !text.starts_with('/') {
        return Ok((DEFAULT_NAMESPACE, text));
    }
    let (address, rest) = text.split_once(',').unwrap_or((text, ""));
    let name = address.split_once('?').map_or(address, |(name, _query)| name);
    if name.len() > NAMESPACE_BYTES_MAX {
        return Err(Violation::NamespaceName);
    }
    Ok((name, rest))
}

/// Digits, if any.
fn split_ack(text: &str) -> Result<(Option<u64>, &str), Violation> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (id, rest) = text.split_at(digits);
    if id.is_empty() {
        return Ok((None, rest));
    }
    Ok((Some(id.parse().map_err(|_| Violation::AckId)?), rest))
}

/// The payload of a CONNECT packet: an object, or nothing.
pub(super) fn parse_connect(payload: &str) -> Result<Value, Violation> {
    if payload.is_empty() {
        return Ok(Value::Null);
    }
    if payload.len() > CONNECT_BYTES_MAX {
        return Err(Violation::ConnectPayload);
    }
    check_depth(payload)?;
    serde_json::from_str(payload).ok().filter(Value::is_object).ok_or(Violation::ConnectPayload)
}

/// The payload of an event: an array that begins with a name.
pub(super) fn parse_event(payload: &str) -> Result<Args, Violation> {
    let mut args = parse_args(payload)?;
    if args.is_empty() {
        return Err(Violation::EventPayload);
    }
    let name: String = serde_json::from_str(args.remove(0).get()).map_err(|_| Violation::EventPayload)?;
    if RESERVED.contains(&name.as_str()) {
        return Err(Violation::ReservedEvent);
    }
    Ok(Args { name, args })
}

/// An array, whatever is in it.
pub(super) fn parse_args(payload: &str) -> Result<Vec<Box<RawValue>>, Violation> {
    check_depth(payload)?;
    let Bounded(args) = serde_json::from_str(payload).map_err(|_| Violation::EventPayload)?;
    Ok(args)
}

/// An array that is read no further than [`ARGS_MAX`].
struct Bounded(Vec<Box<RawValue>>);

impl<'de> Deserialize<'de> for Bounded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;
        impl<'de> Visitor<'de> for Elements {
            type Value = Bounded;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an array of at most {ARGS_MAX} elements")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Bounded, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = sequence.next_element()? {
                    if elements.len() == ARGS_MAX {
                        return Err(serde::de::Error::invalid_length(ARGS_MAX + 1, &self));
                    }
                    elements.push(element);
                }
                Ok(Bounded(elements))
            }
        }
        deserializer.deserialize_seq(Elements)
    }
}

/// Refuses JSON that is nested too deeply, before anybody reads it: raw values are skipped without a limit.
fn check_depth(json: &str) -> Result<(), Violation> {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        if is_text {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => is_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => is_text = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(Violation::Depth);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(ack: Option<u64>, attachments: usize) -> Kind {
        Kind::Event { ack, attachments }
    }

    #[test]
    fn the_published_examples_are_understood() {
        let cases = [
            ("0", Kind::Connect, "/", ""),
            (r#"0{"token":"123"}"#, Kind::Connect, "/", r#"{"token":"123"}"#),
            (r#"0/admin,{"sid":"o"}"#, Kind::Connect, "/admin", r#"{"sid":"o"}"#),
            ("0/custom", Kind::Connect, "/custom", ""),
            ("0/custom?token=a/b,", Kind::Connect, "/custom", ""),
            ("1", Kind::Disconnect, "/", ""),
            ("1/admin,", Kind::Disconnect, "/admin", ""),
            (r#"2["foo"]"#, event(None, 0), "/", r#"["foo"]"#),
            (r#"2/admin,["bar"]"#, event(None, 0), "/admin", r#"["bar"]"#),
            (r#"212["foo"]"#, event(Some(12), 0), "/", r#"["foo"]"#),
            (r#"3/admin,13["bar"]"#, Kind::Ack { attachments: 0 }, "/admin", r#"["bar"]"#),
            (r#"52-/admin,["baz",0,1]"#, event(None, 2), "/admin", r#"["baz",0,1]"#),
            (r#"61-15["bar",0]"#, Kind::Ack { attachments: 1 }, "/", r#"["bar",0]"#),
            (r#"218446744073709551615["x"]"#, event(Some(u64::MAX), 0), "/", r#"["x"]"#),
        ];
        for (text, kind, namespace, payload) in cases {
            assert_eq!(Packet::decode(text), Ok(Packet { kind, namespace, payload }), "{text}");
        }
    }

    #[test]
    fn packets_that_are_none_are_refused() {
        let cases = [
            ("", Violation::SocketPacket),
            ("abc", Violation::SocketPacket),
            ("é", Violation::SocketPacket),
            ("4{}", Violation::SocketPacket),
            ("7", Violation::SocketPacket),
            ("1x", Violation::SocketPacket),
            ("5[\"a\"]", Violation::SocketPacket),
            ("5-[\"a\"]", Violation::SocketPacket),
            ("5+1-[\"a\"]", Violation::SocketPacket),
            ("511-[\"a\"]", Violation::AttachmentLimit),
            ("599999999999999999999-[\"a\"]", Violation::AttachmentLimit),
            ("3[\"a\"]", Violation::AckId),
            ("218446744073709551616[\"a\"]", Violation::AckId),
        ];
        for (text, violation) in cases {
            assert_eq!(Packet::decode(text), Err(violation), "{text}");
        }
        assert_eq!(Packet::decode(&format!("0/{}", "x".repeat(200))), Err(Violation::NamespaceName));
    }

    #[test]
    fn an_event_is_an_array_that_begins_with_a_name() {
        let good = parse_event(r#"["__proto__",1,"2",{"3":[true]}]"#).unwrap();
        assert_eq!(good.name, "__proto__");
        let args: Vec<_> = good.args.iter().map(|arg| arg.get()).collect();
        assert_eq!(args, ["1", "\"2\"", r#"{"3":[true]}"#]);
        for payload in
            ["", "{}", "[]", "[1]", "[null,1]", "[[\"a\"]]", "[\"a\"", "[\"a\"]x", "abc", "\"a\"", "[\"\\ud800\"]"]
        {
            assert_eq!(parse_event(payload).err(), Some(Violation::EventPayload), "{payload}");
        }
        for name in RESERVED {
            assert_eq!(parse_event(&format!("[\"{name}\"]")).err(), Some(Violation::ReservedEvent), "{name}");
        }
        assert_eq!(parse_event("[\"disc\\u006fnnect\"]").err(), Some(Violation::ReservedEvent), "escaped");
    }

    #[test]
    fn nesting_and_length_are_bounded() {
        let nested = |depth: usize| format!("[\"a\",{}{}]", "[".repeat(depth - 1), "]".repeat(depth - 1));
        let deepest = parse_event(&nested(DEPTH_MAX)).unwrap();
        assert!(serde_json::from_str::<Value>(deepest.args[0].get()).is_ok(), "what is let through can be read");
        assert_eq!(parse_event(&nested(DEPTH_MAX + 1)).err(), Some(Violation::Depth));
        assert_eq!(parse_event(&"[".repeat(10_000)).err(), Some(Violation::Depth));
        assert_eq!(parse_connect(&r#"{"a":"#.repeat(10_000)).err(), Some(Violation::Depth));
        assert!(parse_event(&format!("[\"{}\"]", "[\\\"".repeat(1_000))).is_ok(), "brackets in a text do not nest");
        let many = |count: usize| format!("[\"a\"{}]", ",0".repeat(count - 1));
        assert_eq!(parse_event(&many(ARGS_MAX)).map(|args| args.args.len()).ok(), Some(ARGS_MAX - 1));
        assert_eq!(parse_event(&many(ARGS_MAX + 1)).err(), Some(Violation::EventPayload));
    }

    #[test]
    fn a_connect_payload_is_an_object_or_nothing() {
        assert_eq!(parse_connect(""), Ok(Value::Null));
        assert_eq!(parse_connect("{\"a\":1}"), Ok(serde_json::json!({"a": 1})));
        for payload in ["1", "[]", "null", "\"a\"", "{", "{}x"] {
            assert_eq!(parse_connect(payload), Err(Violation::ConnectPayload), "{payload}");
        }
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(CONNECT_BYTES_MAX));
        assert_eq!(parse_connect(&long), Err(Violation::ConnectPayload));
    }
}
