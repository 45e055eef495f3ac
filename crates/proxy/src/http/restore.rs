//! From a request as it goes on back to one as it came, for somebody else to read from its beginning.
//!
//! It need not have the bytes that came, which nobody keeps; but who parses it writes the same request anew.

use super::{Peer, RequestHead, Version};

const END: &[u8] = b"\r\n";

impl RequestHead {
    /// `sent` is the head that goes on, as [`Self::parse`] wrote it for `peer`, and what there is of the body.
    pub(crate) fn restore(&self, sent: &[u8], peer: &Peer) -> Vec<u8> {
        let head = memchr::memmem::find(sent, b"\r\n\r\n").map_or(sent.len(), |at| at + END.len());
        let (head, body) = sent.split_at(head);
        let authority = lines(head).find_map(|line| line.strip_prefix(b"Host: ")).unwrap_or_default();
        let mut out = Vec::with_capacity(sent.len());
        for (at, line) in lines(head).enumerate() {
            match line.strip_suffix(b"1") {
                Some(start) if at == 0 && self.version == Version::Http10 => {
                    out.extend_from_slice(start);
                    out.extend_from_slice(b"0\r\n");
                }
                _ => peer.unwrite(line, authority, &mut out),
            }
        }
        if !self.keep_alive && self.version == Version::Http11 {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        out.extend_from_slice(body);
        out
    }
}

/// The lines of a head, each without its end.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    memchr::memmem::find_iter(head, END).scan(0, |start, end| {
        let line = &head[*start..end];
        *start = end + END.len();
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        config::Limits,
        http::{Body, Chunks, Emit},
    };

    fn parsed(bytes: &[u8], peer: &Peer) -> Option<(RequestHead, Vec<u8>)> {
        let mut out = Vec::new();
        let head = RequestHead::parse(bytes, &mut 0, peer, &Limits::default(), &mut out).ok()??;
        Some((head, out))
    }

    fn peer(address: &str, trusted: bool) -> Peer {
        let net: IpNet =
            format!("{address}/32").parse().or_else(|_| format!("{address}/128").parse()).unwrap();
        Peer::new(address.parse().unwrap(), if trusted { std::slice::from_ref(&net) } else { &[] })
    }

    fn field() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "X-Forwarded-For: 6.6.6.6",
            "X-Forwarded-For: ",
            "x-forwarded-for: 192.0.2.1",
            "x-forwarded-for: 192.0.2.1, 192.0.2.1",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Proto: http",
            "X-Forwarded-Host: example.org",
            "X-Forwarded-Host: a.api.localhost:80",
            "Forwarded: for=6.6.6.6;proto=https",
            "Forwarded:for=192.0.2.1;host=\"a.api.localhost:80\";proto=http",
            "Connection: close",
            "Connection: keep-alive, X-A",
            "Connection: upgrade",
            "Upgrade: websocket",
            "Expect: 100-continue",
            "Content-Length: 7",
            "Transfer-Encoding: chunked",
            "Content-Length: 0",
            "Trailer: X-B",
            "X-A:1",
            "X-B:   2  ",
            "Cookie: a=b; c=d",
            "X_Forwarded_For: 1",
            "Keep-Alive: 5",
        ])
    }

    proptest! {
        #[test]
        fn who_parses_it_again_writes_the_same(
            method in prop::sample::select(vec!["GET", "POST", "HEAD", "DELETE", "CHECKOUT"]),
            target in prop::sample::select(vec!["/", "/a/b?c=d", "http://a.api.localhost:80/x"]),
            version in prop::sample::select(vec!["1.0", "1.1"]),
            fields in prop::collection::vec(field(), 0..8),
            address in prop::sample::select(vec!["192.0.2.1", "2001:db8::1"]),
            trusted: bool,
        ) {
            let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
            let came = format!("{method} {target} HTTP/{version}\r\nHost: a.api.localhost:80\r\n{fields}\r\n");
            let peer = peer(address, trusted);
            if let Some((head, sent)) = parsed(came.as_bytes(), &peer) {
                let restored = head.restore(&[&sent[..], b"body\r\n\r\n1"].concat(), &peer);
                prop_assert!(restored.ends_with(b"\r\n\r\nbody\r\n\r\n1"));
                let (again, sent_again) = parsed(&restored, &peer).expect("it was accepted before");
                prop_assert_eq!(String::from_utf8(sent_again), String::from_utf8(sent));
                prop_assert_eq!(again.bytes + 9, restored.len());
                let bytes = head.bytes;
                prop_assert_eq!(format!("{:?}", RequestHead { bytes, ..again }), format!("{head:?}"));
                let count = |head: &[u8]| lines(head).take_while(|line| !line.is_empty()).count();
                prop_assert!(count(&restored) <= count(came.as_bytes()), "limits hold for it as well");
            }
        }
    }

    #[test]
    fn a_chunked_body_goes_on_wherever_it_was() {
        let whole =
            b"5;name=value\r\nhello\r\n00b\r\n world and \r\nA;\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n";
        let mut expected = Vec::new();
        Chunks::new(Emit::Plain, b"").pass(whole, &mut expected).unwrap();
        for cut in 0..=whole.len() {
            let (mut chunks, mut restored) = (Chunks::new(Emit::Chunks, b""), b"\r\n\r\n".to_vec());
            assert_eq!(chunks.pass(&whole[..cut], &mut restored).unwrap(), cut);
            chunks.reopen(&mut restored);
            restored.extend_from_slice(&whole[cut..]);
            let (mut again, mut plain) = (Chunks::new(Emit::Plain, b""), Vec::new());
            assert_eq!(again.pass(&restored[4..], &mut plain), Ok(restored.len() - 4), "cut at {cut}");
            assert!(again.is_done());
            assert_eq!(plain, expected, "cut at {cut}");
            let (mut again, mut trailers) = (Chunks::new(Emit::Chunks, b""), Vec::new());
            again.pass(&restored[4..], &mut trailers).unwrap();
            assert!(trailers.ends_with(b"\r\n0\r\nX-Sum: 1\r\n\r\n"));
        }
    }

    #[test]
    fn nothing_is_invented_for_a_body_without_chunks() {
        let came = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
        let peer = peer("192.0.2.1", false);
        let (head, sent) = parsed(came, &peer).unwrap();
        assert_eq!(head.body, Body::Length(4));
        assert_eq!(head.restore(&sent, &peer), came);
    }
}
