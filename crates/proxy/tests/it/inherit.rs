//! Listening sockets of a predecessor: which are taken, and that no queue is left without a thread.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use tenement_core::{config::testing, slot::Slot, wake::WakeRefusal};
use tenement_proxy::{Backend, Bound, Config, Limits, Running};

use crate::{
    handover::{config, copies},
    support::{Client, Instances},
};

const ANY: u16 = 0;

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn several(listen: Vec<SocketAddr>) -> Config {
    Config { listen, threads: 2, trusted_proxies: Vec::new(), limits: Limits::default() }
}

/// Only the control plane is asked.
fn serve(bound: Bound) -> Running {
    let service = Arc::new(testing::service("api"));
    let slot = Arc::new(Slot::new("api:a".parse().unwrap(), Arc::clone(&service)));
    let instances = Instances::of(service, &slot, |_, _| Err(WakeRefusal::Unknown));
    bound.serve(instances as Arc<dyn Backend>).unwrap()
}

fn sockets(bound: &Bound) -> Vec<(SocketAddr, Vec<u64>)> {
    let inode = |socket| rustix::fs::fstat(socket).unwrap().st_ino;
    let of = |(address, sockets): (_, Vec<_>)| (address, sockets.into_iter().map(inode).collect());
    bound.descriptors().into_iter().map(of).collect()
}

#[test]
fn every_queue_has_a_thread_that_serves_it() {
    for (before, after) in [(4, 1), (5, 2), (2, 2), (1, 3), (2, 5)] {
        let predecessor = Bound::bind(config(local(ANY), before)).unwrap();
        let address = predecessor.local_addrs()[0];
        assert_eq!(sockets(&predecessor)[0].1.len(), before);
        // Into every queue.
        let mut waiting: Vec<_> = (0..60).map(|_| Client::connect(address)).collect();
        let bound = Bound::inherit(config(address, after), copies(&predecessor)).unwrap();
        assert_eq!(sockets(&bound), sockets(&predecessor), "none is added, none is left out");
        drop(predecessor);
        let running = serve(bound);
        waiting.extend((0..20).map(|_| Client::connect(address)));
        for client in &mut waiting {
            client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert!(client.answer().0.starts_with("HTTP/1.1 200 "));
        }
        drop(waiting);
        running.close();
        assert!(TcpStream::connect(address).is_err(), "a socket was not closed");
    }
}

#[test]
fn a_socket_that_comes_twice_is_one() {
    let predecessor = Bound::bind(config(local(ANY), 2)).unwrap();
    let address = predecessor.local_addrs()[0];
    let twice = [copies(&predecessor), copies(&predecessor)].into_iter().flatten().collect();
    let bound = Bound::inherit(config(address, 3), twice).unwrap();
    assert_eq!(sockets(&bound), sockets(&predecessor));
}

#[test]
fn any_port_is_the_one_it_was() {
    let predecessor = Bound::bind(several(vec![local(ANY), local(ANY), local(ANY)])).unwrap();
    let [a, b, c] = predecessor.local_addrs().try_into().unwrap();
    let inherit = |listen| Bound::inherit(several(listen), copies(&predecessor));
    let same = inherit(vec![local(ANY), local(ANY), local(ANY)]).unwrap();
    assert_eq!(same.local_addrs(), [a, b, c]);
    assert_eq!(sockets(&same), sockets(&predecessor));
    // What is wanted by name is not any.
    let named = inherit(vec![local(ANY), a, local(ANY), local(ANY)]).unwrap();
    assert_eq!(named.local_addrs()[..3], [b, a, c]);
    assert!(![a, b, c].contains(&named.local_addrs()[3]));
    let elsewhere = inherit(vec![(Ipv4Addr::new(127, 0, 0, 2), ANY).into()]).unwrap();
    assert_eq!(elsewhere.local_addrs()[0].ip(), Ipv4Addr::new(127, 0, 0, 2));
}

#[test]
fn what_is_missing_is_bound_and_what_is_left_over_closed() {
    let predecessor = Bound::bind(several(vec![local(ANY), local(ANY)])).unwrap();
    let [kept, gone] = predecessor.local_addrs().try_into().unwrap();
    let mut inherited = copies(&predecessor);
    drop(predecessor);
    // None of these listens.
    let (udp, plain) = (UdpSocket::bind(local(ANY)).unwrap(), std::fs::File::open("/dev/null").unwrap());
    let connected = TcpStream::connect(kept).unwrap();
    inherited.extend([OwnedFd::from(udp), plain.into(), connected.into()]);
    let bound = Bound::inherit(several(vec![local(ANY), kept, local(ANY)]), inherited).unwrap();
    let [first, second, third] = bound.local_addrs().try_into().unwrap();
    assert_eq!((first, second), (gone, kept));
    let bound = Bound::inherit(several(vec![kept, third]), {
        let kept = bound.descriptors().into_iter().filter(|(address, _)| *address != third);
        let kept = kept.flat_map(|(_, sockets)| sockets);
        let kept = kept.map(|socket| socket.try_clone_to_owned().unwrap()).collect();
        drop(bound);
        kept
    });
    let bound = bound.unwrap();
    assert_eq!(bound.local_addrs(), [kept, third]);
    assert!(TcpStream::connect(gone).is_err());
    let running = serve(bound);
    for address in [kept, third] {
        let mut client = Client::connect(address);
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client.answer();
    }
    running.close();
}

#[test]
fn the_predecessor_is_in_nobodys_way() {
    let predecessor = Bound::bind(config(local(ANY), 2)).unwrap();
    let port = predecessor.local_addrs()[0].port();
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let bound = Bound::inherit(config(everywhere, 2), copies(&predecessor)).unwrap();
    assert_eq!(bound.local_addrs(), [everywhere]);
    // Without it, somebody is.
    let taken = Bound::inherit(config(everywhere, 2), Vec::new()).unwrap_err();
    assert_eq!((taken.address, taken.source.kind()), (everywhere, std::io::ErrorKind::AddrInUse));
    // As is who listens for itself, whoever it is that is inherited from.
    let other = TcpListener::bind(local(ANY)).unwrap();
    let address = other.local_addr().unwrap();
    let taken = Bound::inherit(config(address, 2), copies(&predecessor)).unwrap_err();
    assert_eq!(taken.address, address);
    let twice = several(vec![predecessor.local_addrs()[0]; 2]);
    assert!(Bound::inherit(twice, copies(&predecessor)).is_err(), "an address can't be listened on twice");
    assert!(other.as_fd().try_clone_to_owned().is_ok());
}
