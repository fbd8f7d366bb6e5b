//! Owns the reading of NATS's client protocol: it takes a stream of bytes apart into frames, so that a wire can leave out
//! whole messages.

/// The longest line: `INFO` of a large cluster has a few kilobytes.
const LINE_BYTES_MAX: usize = 1024 * 1024;
/// The longest message, headers and payload: the servers here take 1 MiB.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
const LINE_END: &[u8] = b"\r\n";

/// A message on its way: `MSG` or `HMSG` from a server, `PUB` or `HPUB` from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NatsMessage<'a> {
    /// Where it is published.
    pub subject: &'a str,
    /// Where answers to it go.
    pub reply: Option<&'a str>,
    /// Its headers as they stand there, from `NATS/1.0` to the empty line; empty when it has none.
    pub headers: &'a [u8],
    /// Its payload.
    pub payload: &'a [u8],
}

impl NatsMessage<'_> {
    /// Whether it is an answer to a request: it goes to an inbox.
    pub fn is_answer(&self) -> bool {
        self.subject.starts_with("_INBOX.")
    }

    /// Whether the payload holds `text`.
    pub fn payload_holds(&self, text: &str) -> bool {
        holds(self.payload, text.as_bytes())
    }

    /// The value of the header `name`, written as it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = str::from_utf8(self.headers).ok()?;
        let named = headers.split("\r\n").filter_map(|line| line.split_once(':'));
        named.into_iter().find(|(it, _)| *it == name).map(|(_, value)| value.trim())
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && bytes.windows(part.len()).any(|window| window == part)
}

/// The stream is not NATS's protocol, or broken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed(String);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not NATS's protocol: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// Takes one direction of a connection apart, from its first byte on.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    /// The beginning of a frame whose end is still to come.
    open: Vec<u8>,
}

impl Splitter {
    /// Takes the next bytes of the stream, and returns the frames that are complete now, without those messages that
    /// `leave_out` chooses. Frames that are no messages are never left out.
    pub(super) fn pass(
        &mut self,
        chunk: &[u8],
        mut leave_out: impl FnMut(&NatsMessage<'_>) -> bool,
    ) -> Result<Vec<u8>, Malformed> {
        self.open.extend_from_slice(chunk);
        let mut passed = Vec::with_capacity(self.open.len());
        let mut start = 0;
        while let Some(frame) = first_frame(&self.open[start..])? {
            let is_left_out = frame.message.is_some_and(|message| leave_out(&message));
            if !is_left_out {
                passed.extend_from_slice(&self.open[start..start + frame.length]);
            }
            start += frame.length;
        }
        self.open.drain(..start);
        Ok(passed)
    }
}

struct Frame<'a> {
    length: usize,
    message: Option<NatsMessage<'a>>,
}

/// The frame at the beginning of `bytes`, if all of it is there.
fn first_frame(bytes: &[u8]) -> Result<Option<Frame<'_>>, Malformed> {
    let Some(line_length) = bytes.windows(LINE_END.len()).position(|window| window == LINE_END) else {
        if bytes.len() > LINE_BYTES_MAX {
            return Err(Malformed(format!("a line of more than {LINE_BYTES_MAX} bytes")));
        }
        return Ok(None);
    };
    let body_start = line_length + LINE_END.len();
    let Some(announced) = Announced::in_line(&bytes[..line_length])? else {
        return Ok(Some(Frame { length: body_start, message: None }));
    };
    let body_end = body_start + announced.total_bytes;
    let length = body_end + LINE_END.len();
    if bytes.len() < length {
        return Ok(None);
    }
    if &bytes[body_end..length] != LINE_END {
        return Err(Malformed("a message without its end".to_owned()));
    }
    let (headers, payload) = bytes[body_start..body_end].split_at(announced.header_bytes);
    let message = NatsMessage { subject: announced.subject, reply: announced.reply, headers, payload };
    Ok(Some(Frame { length, message: Some(message) }))
}

/// What the first line of a message says.
struct Announced<'a> {
    subject: &'a str,
    reply: Option<&'a str>,
    header_bytes: usize,
    total_bytes: usize,
}

impl<'a> Announced<'a> {
    /// Nothing for a line that begins no message.
    fn in_line(line: &'a [u8]) -> Result<Option<Self>, Malformed> {
        let malformed = || Malformed(format!("the line {:?}", String::from_utf8_lossy(line)));
        let operation = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        // A server says which of its client's subscriptions a message is for.
        let (has_subscription, has_headers) = match operation.to_ascii_uppercase().as_slice() {
            b"MSG" => (true, false),
            b"HMSG" => (true, true),
            b"PUB" => (false, false),
            b"HPUB" => (false, true),
            _ => return Ok(None),
        };
        let line = str::from_utf8(line).map_err(|_| malformed())?;
        let mut words: Vec<_> = line.split_ascii_whitespace().skip(1).collect();
        let mut number = || words.pop().and_then(|word| word.parse::<usize>().ok()).ok_or_else(malformed);
        let total_bytes = number()?;
        let header_bytes = if has_headers { number()? } else { 0 };
        if header_bytes > total_bytes || total_bytes > MESSAGE_BYTES_MAX {
            return Err(malformed());
        }
        let (subject, reply) = match (words.as_slice(), has_subscription) {
            ([subject, _], true) | ([subject], false) => (*subject, None),
            ([subject, _, reply], true) | ([subject, reply], false) => (*subject, Some(*reply)),
            _ => return Err(malformed()),
        };
        Ok(Some(Self { subject, reply, header_bytes, total_bytes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM_SERVER: &[u8] = b"INFO {\"server_id\":\"x\"}\r\n+OK\r\nPING\r\n\
        MSG huddle.live.0.a 1 5\r\nhello\r\n\
        MSG _INBOX.x.1 2 huddle.reply 33\r\n{\"stream\":\"HUDDLE_LOG_0\",\"seq\":7}\r\n\
        HMSG huddle.live.0.b 1 30 36\r\nNATS/1.0\r\nNats-Sequence: 7\r\n\r\nMSG\r\n!\r\n\
        MSG empty 3 0\r\n\r\nPONG\r\n-ERR 'Slow Consumer'\r\n";
    const FROM_CLIENT: &[u8] = b"CONNECT {\"verbose\":false}\r\nSUB huddle.live.0.a 1\r\n\
        PUB huddle.log.0.a _INBOX.x.1 7\r\nP\r\nUB x\r\n\
        HPUB huddle.log.0.b 23 25\r\nNATS/1.0\r\nName: val\r\n\r\nhi\r\nPING\r\n";

    /// All that is passed when the stream comes in pieces of `piece` bytes, and the subjects of its messages.
    fn pass_in_pieces(stream: &[u8], piece: usize, left_out: &str) -> (Vec<u8>, Vec<String>) {
        let (mut splitter, mut passed, mut subjects) = (Splitter::default(), Vec::new(), Vec::new());
        for chunk in stream.chunks(piece) {
            let frames = splitter.pass(chunk, |message| {
                subjects.push(message.subject.to_owned());
                message.subject == left_out
            });
            passed.extend(frames.unwrap());
        }
        (passed, subjects)
    }

    #[test]
    fn a_stream_passes_whole_however_it_is_cut_into_pieces() {
        for stream in [FROM_SERVER, FROM_CLIENT] {
            for piece in 1..=stream.len() {
                assert_eq!(pass_in_pieces(stream, piece, "").0, stream, "pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_stream_passes_whole_when_it_is_cut_once_at_any_byte() {
        for stream in [FROM_SERVER, FROM_CLIENT] {
            for cut in 0..=stream.len() {
                let mut splitter = Splitter::default();
                let mut passed = splitter.pass(&stream[..cut], |_| false).unwrap();
                passed.extend(splitter.pass(&stream[cut..], |_| false).unwrap());
                assert_eq!(passed, stream, "cut at {cut}");
            }
        }
    }

    #[test]
    fn exactly_the_chosen_message_is_left_out_however_the_stream_is_cut() {
        let message = b"HMSG huddle.live.0.b 1 30 36\r\nNATS/1.0\r\nNats-Sequence: 7\r\n\r\nMSG\r\n!\r\n";
        let at = FROM_SERVER.windows(message.len()).position(|window| window == message).unwrap();
        let rest = [&FROM_SERVER[..at], &FROM_SERVER[at + message.len()..]].concat();
        for piece in 1..=FROM_SERVER.len() {
            let (passed, subjects) = pass_in_pieces(FROM_SERVER, piece, "huddle.live.0.b");
            assert_eq!(passed, rest, "pieces of {piece}");
            assert_eq!(subjects, ["huddle.live.0.a", "_INBOX.x.1", "huddle.live.0.b", "empty"]);
        }
    }

    #[test]
    fn a_message_is_shown_with_all_its_parts() {
        let mut seen = 0;
        let look = |message: &NatsMessage<'_>| {
            seen += 1;
            match message.subject {
                "_INBOX.x.1" => {
                    assert!(message.is_answer() && message.payload_holds("\"HUDDLE_LOG_0\",\"seq\":7"));
                    assert_eq!(message.reply, Some("huddle.reply"));
                }
                "huddle.live.0.b" => {
                    assert_eq!(message.header("Nats-Sequence"), Some("7"));
                    assert_eq!((message.reply, message.payload), (None, b"MSG\r\n!".as_slice()));
                }
                "empty" => assert!(message.payload.is_empty() && message.headers.is_empty()),
                _ => assert_eq!(message.payload, b"hello"),
            }
            false
        };
        Splitter::default().pass(FROM_SERVER, look).unwrap();
        assert_eq!(seen, 4);

        let mut published = Vec::new();
        let note = |message: &NatsMessage<'_>| {
            published.push((message.subject.to_owned(), message.reply.map(str::to_owned), message.payload.to_owned()));
            false
        };
        Splitter::default().pass(FROM_CLIENT, note).unwrap();
        let first = ("huddle.log.0.a".to_owned(), Some("_INBOX.x.1".to_owned()), b"P\r\nUB x".to_vec());
        assert_eq!(published, [first, ("huddle.log.0.b".to_owned(), None, b"hi".to_vec())]);
    }

    #[test]
    fn what_is_not_the_protocol_is_an_error() {
        for stream in ["MSG a 1\r\n", "MSG a 1 x\r\n", "PUB a b c 1\r\n", "HPUB a 5 4\r\n", "MSG a 1 1\r\nxyz"] {
            assert!(Splitter::default().pass(stream.as_bytes(), |_| false).is_err(), "{stream}");
        }
    }
}
