//! [`TraceContext`]: the place of a piece of work in a distributed trace, after
//! [W3C Trace Context](https://www.w3.org/TR/trace-context/).

use std::fmt;

/// The trace that a call belongs to, the span that made it, and whether it is recorded.
///
/// It travels in 25 bytes on our wire, and as the `traceparent` text everywhere else.
///
/// ```
/// use rpc_core::context::TraceContext;
///
/// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let trace = TraceContext::parse(text).unwrap();
/// assert!(trace.is_sampled());
/// assert_eq!(trace.traceparent(), text);
///
/// let child = trace.child();
/// assert_eq!(child.trace_id, trace.trace_id);
/// assert_ne!(child.span_id, trace.span_id);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The trace: the same at every hop. Never all zero.
    pub trace_id: [u8; 16],
    /// The span: another one at every hop. Never all zero.
    pub span_id: [u8; 8],
    /// [`SAMPLED`](Self::SAMPLED), or nothing.
    pub flags: u8,
}

impl TraceContext {
    /// The flag of a trace that is recorded. No other bit of the flags is kept: the standard has a program clear those
    /// that it does not know.
    pub const SAMPLED: u8 = 1;

    /// The length of [`to_bytes`](Self::to_bytes).
    pub const BYTES: usize = 25;

    /// A new trace, sampled, with random ids. They are hard to collide with, not hard to guess.
    pub fn new_root() -> Self {
        Self {
            // A zero id is invalid; it comes up once in 2^128, and once in 2^64.
            trace_id: fastrand::u128(1..).to_be_bytes(),
            span_id: new_span_id(),
            flags: Self::SAMPLED,
        }
    }

    /// A new span of the same trace.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { span_id: new_span_id(), ..*self }
    }

    /// Whether the trace is recorded.
    pub fn is_sampled(&self) -> bool {
        self.flags & Self::SAMPLED != 0
    }

    /// The binary form: trace id, span id, flags.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&self.trace_id);
        bytes[16..24].copy_from_slice(&self.span_id);
        bytes[24] = self.flags & Self::SAMPLED;
        bytes
    }

    /// Reads the binary form; `None` if it has another length or one of the ids is zero.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (trace_id, rest) = bytes.split_first_chunk()?;
        let (span_id, rest) = rest.split_first_chunk()?;
        let &[flags] = rest else { return None };
        Self::checked(*trace_id, *span_id, flags)
    }

    /// The text form, version 00: `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`.
    pub fn traceparent(&self) -> String {
        self.to_string()
    }

    /// Reads the text form; `None` if it breaks the standard's rules.
    ///
    /// Digits are lower case and ids not zero. Version 00 has exactly four parts; of a later version those four are read
    /// and the rest is left alone; version ff is invalid.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, rest) = text.as_bytes().split_at_checked(55)?;
        if [head[2], head[35], head[52]] != *b"---" {
            return None;
        }
        match hex(&head[..2])? {
            [0xff] => return None,
            [0x00] if !rest.is_empty() => return None,
            _ if !rest.is_empty() && rest[0] != b'-' => return None,
            _ => {}
        }
        let [flags] = hex(&head[53..])?;
        Self::checked(hex(&head[3..35])?, hex(&head[36..52])?, flags)
    }

    fn checked(trace_id: [u8; 16], span_id: [u8; 8], flags: u8) -> Option<Self> {
        let is_valid = trace_id != [0; 16] && span_id != [0; 8];
        is_valid.then_some(Self { trace_id, span_id, flags: flags & Self::SAMPLED })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            u128::from_be_bytes(self.trace_id),
            u64::from_be_bytes(self.span_id),
            self.flags & Self::SAMPLED
        )
    }
}

fn new_span_id() -> [u8; 8] {
    fastrand::u64(1..).to_be_bytes()
}

/// Exactly `2 * N` lower-case digits.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    fn digit(byte: u8) -> Option<u8> {
        match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        }
    }

    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn what_the_standard_allows_is_read() {
        let cases = [
            (format!("00-{TRACE}-{SPAN}-01"), true),
            (format!("00-{TRACE}-{SPAN}-00"), false),
            // Flags that we do not know.
            (format!("00-{TRACE}-{SPAN}-ff"), true),
            (format!("00-{TRACE}-{SPAN}-02"), false),
            // Later versions, with and without more parts.
            (format!("01-{TRACE}-{SPAN}-01"), true),
            (format!("cc-{TRACE}-{SPAN}-01-what-the-future-brings"), true),
            (format!("fe-{TRACE}-{SPAN}-00-"), false),
        ];
        for (text, sampled) in cases {
            let trace = TraceContext::parse(&text).expect(&text);
            assert_eq!(trace.is_sampled(), sampled, "{text}");
            assert_eq!(trace.traceparent(), format!("00-{TRACE}-{SPAN}-0{}", u8::from(sampled)));
        }
    }

    #[test]
    fn what_the_standard_forbids_is_not_read() {
        let cases = [
            String::new(),
            "00".to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-"),
            format!("00-{TRACE}-{SPAN}-0"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-011"),
            format!("01-{TRACE}-{SPAN}-01more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0g-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00-{TRACE}-{SPAN}-0A"),
            format!("00-{TRACE}-{SPAN}-+1"),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{}-{SPAN}0-01", &TRACE[1..]),
            format!("00-{}ä-{SPAN}-01", &TRACE[2..]),
        ];
        for text in cases {
            assert_eq!(TraceContext::parse(&text), None, "{text}");
        }
    }

    #[test]
    fn bytes_of_another_shape_are_not_read() {
        let bytes = TraceContext::new_root().to_bytes();
        let mut long = bytes.to_vec();
        long.push(0);
        let mut no_trace = bytes;
        no_trace[..16].fill(0);
        let mut no_span = bytes;
        no_span[16..24].fill(0);
        for wrong in [&bytes[..24], &bytes[..15], &long, &no_trace, &no_span, &[]] {
            assert_eq!(TraceContext::from_bytes(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn new_traces_are_new_and_sampled() {
        let (one, two) = (TraceContext::new_root(), TraceContext::new_root());
        assert!(one.is_sampled());
        assert_ne!(one.trace_id, two.trace_id);
        assert_eq!(one.child().flags, one.flags);
    }

    proptest! {
        #[test]
        fn both_forms_come_back(trace_id in 1_u128.., span_id in 1_u64.., flags in 0_u8..2) {
            let trace =
                TraceContext { trace_id: trace_id.to_be_bytes(), span_id: span_id.to_be_bytes(), flags };
            prop_assert_eq!(TraceContext::from_bytes(&trace.to_bytes()), Some(trace));
            prop_assert_eq!(TraceContext::parse(&trace.traceparent()), Some(trace));
        }

        #[test]
        fn any_text_is_survived(text in "[0-9a-fg-]{0,60}|.{0,60}|[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.{0,3}") {
            if let Some(trace) = TraceContext::parse(&text) {
                prop_assert_eq!(TraceContext::parse(&trace.traceparent()), Some(trace));
            }
        }
    }
}
