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
}
