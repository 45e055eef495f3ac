//! Who sent a request, and the fields that tell the application so.

use std::net::IpAddr;

use ipnet::IpNet;

/// The other end of a client's connection.
#[derive(Debug)]
pub(crate) struct Peer {
    /// As in `X-Forwarded-For`.
    address: String,
    /// As in `Forwarded` (RFC 7239 section 6).
    node: String,
    /// Whether what it says about the way of a request is believed.
    trusted: bool,
}

/// What a trusted peer said about the way so far.
#[derive(Debug, Default)]
pub(super) struct Said<'h> {
    pub(super) x_for: Vec<&'h [u8]>,
    pub(super) x_proto: Option<&'h [u8]>,
    pub(super) x_host: Option<&'h [u8]>,
    pub(super) forwarded: Vec<&'h [u8]>,
}

impl Peer {
    pub(crate) fn new(address: IpAddr, trusted: &[IpNet]) -> Self {
        let address = address.to_canonical();
        let node = match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("\"[{address}]\""),
        };
        let trusted = trusted.iter().any(|network| network.contains(&address));
        Self { address: address.to_string(), node, trusted }
    }

    /// Writes the forwarding fields of a request for `authority`.
    pub(super) fn write(&self, said: &Said<'_>, authority: &[u8], out: &mut Vec<u8>) {
        let believed = |list: &[&[u8]], out: &mut Vec<u8>| {
            for value in list.iter().filter(|value| self.trusted && !value.trim_ascii().is_empty()) {
                out.extend_from_slice(value);
                out.extend_from_slice(b", ");
            }
        };
        out.extend_from_slice(b"X-Forwarded-For: ");
        believed(&said.x_for, out);
        out.extend_from_slice(self.address.as_bytes());
        out.extend_from_slice(b"\r\nX-Forwarded-Proto: ");
        out.extend_from_slice(said.x_proto.filter(|_| self.trusted).unwrap_or(b"http"));
        out.extend_from_slice(b"\r\nX-Forwarded-Host: ");
        out.extend_from_slice(said.x_host.filter(|_| self.trusted).unwrap_or(authority));
        out.extend_from_slice(b"\r\nForwarded: ");
        believed(&said.forwarded, out);
        out.extend_from_slice(b"for=");
        out.extend_from_slice(self.node.as_bytes());
        out.extend_from_slice(b";host=\"");
        out.extend_from_slice(authority);
        out.extend_from_slice(b"\";proto=http\r\n");
    }

    /// Writes a line of a request for `authority` that goes on, but for what [`Self::write`] added.
    pub(super) fn unwrite(&self, line: &[u8], authority: &[u8], out: &mut Vec<u8>) {
        let name = memchr::memchr(b':', line).map_or(0, |colon| (colon + 2).min(line.len()));
        let (name, value) = line.split_at(name);
        let said = match name {
            b"X-Forwarded-For: " => unsaid(value, self.address.as_bytes()),
            b"X-Forwarded-Proto: " => Some(value).filter(|value| *value != b"http"),
            b"X-Forwarded-Host: " => Some(value).filter(|value| *value != authority),
            b"Forwarded: " => {
                let own = [b"for=", self.node.as_bytes(), b";host=\"", authority, b"\";proto=http"].concat();
                unsaid(value, &own)
            }
            _ => return write_line(name, value, out),
        };
        if let Some(value) = said.filter(|_| self.trusted) {
            write_line(name, value, out);
        }
    }
}

/// A list without its last element, which is `own`; `None` if it is the only one.
fn unsaid<'v>(value: &'v [u8], own: &[u8]) -> Option<&'v [u8]> {
    value.strip_suffix(own)?.strip_suffix(b", ")
}

fn write_line(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
