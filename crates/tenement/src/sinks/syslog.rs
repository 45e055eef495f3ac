//! Syslog: RFC 5424 over UDP, TCP or a Unix datagram socket.
//!
//! Syslog has no acknowledgements. Over TCP a line counts as delivered when the kernel of the other side has it; over a
//! Unix socket when it is in the receiver's queue; over UDP when it was sent.

use std::{
    io::{self, ErrorKind, Write},
    net::{TcpStream, ToSocketAddrs, UdpSocket},
    os::{fd::AsFd, unix::net::UnixDatagram},
    thread,
    time::Duration,
};

use rustix::net::RecvFlags;
use tenement_core::config::SyslogAddress;
use tenement_logs::LogLine;
use tenement_runtime::{clock, socket};

use super::{Failure, Receipt, Sink, format};

/// For a connection, for a write, and until the other side has what was written.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks whether the other side has it.
const LOOK: Duration = Duration::from_millis(1);
const LOOK_MAX: Duration = Duration::from_millis(50);
/// The most bytes of a datagram of IPv4: RFC 5426 section 3.2.
const UDP_MAX: usize = 65_507;

/// A syslog daemon.
pub(super) struct Syslog {
    address: SyslogAddress,
    facility: u8,
    host: String,
    connection: Option<Connection>,
}

enum Connection {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Unix(UnixDatagram),
}

impl Sink for Syslog {
    fn deliver(&mut self, lines: &[LogLine]) -> Result<Receipt, Failure> {
        let sent = self.send(lines);
        if sent.is_err() {
            self.connection = None;
        }
        sent
    }
}

impl Syslog {
    pub(super) fn new(address: SyslogAddress, facility: u8) -> Self {
        Self { address, facility, host: format::host(), connection: None }
    }

    fn send(&mut self, lines: &[LogLine]) -> Result<Receipt, Failure> {
        let failed = |error: io::Error| Failure::new(error.to_string());
        if let Some(Connection::Tcp(stream)) = &self.connection
            && !is_open(stream).unwrap_or(false)
        {
            self.connection = None;
        }
        let (host, facility) = (self.host.clone(), self.facility);
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(connect(&self.address).map_err(failed)?),
        };
        let message = |line: &LogLine| {
            let mut text = String::new();
            format::syslog(line, &host, facility, &mut text);
            text
        };
        match connection {
            Connection::Tcp(stream) => {
                let mut frames = Vec::new();
                for line in lines {
                    let text = message(line);
                    // RFC 6587 section 3.4.1.
                    frames.extend_from_slice(format!("{} {text}", text.len()).as_bytes());
                }
                stream.write_all(&frames).and_then(|()| acknowledged(stream)).map_err(failed)?;
                Ok(Receipt::default())
            }
            Connection::Udp(udp) => datagrams(lines, |line| {
                let mut text = message(line);
                text.truncate(text.floor_char_boundary(UDP_MAX));
                udp.send(text.as_bytes())
            }),
            Connection::Unix(unix) => datagrams(lines, |line| unix.send(message(line).as_bytes())),
        }
    }
}

fn connect(address: &SyslogAddress) -> io::Result<Connection> {
    match address {
        SyslogAddress::Tcp(to) => {
            let mut failed = io::Error::new(ErrorKind::NotFound, format!("'{to}' has no address"));
            for address in to.to_socket_addrs()? {
                match TcpStream::connect_timeout(&address, PATIENCE) {
                    Ok(stream) => {
                        stream.set_write_timeout(Some(PATIENCE))?;
                        return Ok(Connection::Tcp(stream));
                    }
                    Err(error) => failed = error,
                }
            }
            Err(failed)
        }
        SyslogAddress::Udp(to) => {
            let mut failed = io::Error::new(ErrorKind::NotFound, format!("'{to}' has no address"));
            for address in to.to_socket_addrs()? {
                let local = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(local)?;
                match socket.connect(address) {
                    Ok(()) => return Ok(Connection::Udp(socket)),
                    Err(error) => failed = error,
                }
            }
            Err(failed)
        }
        SyslogAddress::Unix(path) => {
            let socket = UnixDatagram::unbound()?;
            socket.set_write_timeout(Some(PATIENCE))?;
            socket.connect(path)?;
            Ok(Connection::Unix(socket))
        }
    }
}

/// Sends one line after another. One that is too large for the other side is refused.
fn datagrams(lines: &[LogLine], send: impl Fn(&LogLine) -> io::Result<usize>) -> Result<Receipt, Failure> {
    let mut receipt = Receipt::default();
    for (done, line) in lines.iter().enumerate() {
        match send(line) {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error()) => {
                receipt.refused += 1;
                receipt.why = Some(error.to_string());
            }
            Err(error) => return Err(Failure { done, ..Failure::new(error.to_string()) }),
        }
    }
    Ok(receipt)
}

/// Whether the other side may still read. What it says means nothing.
fn is_open(stream: &TcpStream) -> io::Result<bool> {
    let mut said = [0; 512];
    loop {
        match rustix::net::recv(stream, &mut said[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Ok(false),
            Ok(_) => {}
            Err(rustix::io::Errno::AGAIN) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits until the other side's kernel has everything.
fn acknowledged(stream: &TcpStream) -> io::Result<()> {
    let (begun, mut pause) = (clock::instant(), LOOK);
    loop {
        let left = socket::unsent(stream.as_fd())?;
        is_open(stream)?;
        if left == 0 {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            return Err(io::Error::new(ErrorKind::TimedOut, "the other side does not take what is sent"));
        }
        thread::sleep(pause);
        pause = LOOK_MAX.min(pause * 2);
    }
}
