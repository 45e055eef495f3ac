//! When a process accepts, and whose listener it is.

use std::{
    net::{Ipv4Addr, TcpListener},
    os::unix::net::UnixListener,
    time::Duration,
};

use tenement_core::slot::Address;
use tenement_runtime::{output, ports::PortPool, process::Process, readiness::Watch};

use crate::support::{Place, STRATEGIES};

const LISTEN: &str = "
import os, socket, sys
if sys.argv[1] == 'unix':
    s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[2])
else:
    s = socket.socket(); s.bind(('127.0.0.1', int(sys.argv[2])))
s.listen()
while True: s.accept()
";

fn listener(place: &Place, kind: &str, address: &str) -> Process {
    place.host.spawn(place.launch(&["python3", "-c", LISTEN, kind, address])).unwrap()
}

#[tokio::test]
async fn a_socket_is_noticed_when_it_accepts() {
    for strategy in STRATEGIES {
        let Some(place) = Place::new(strategy) else { continue };
        let socket = place.path("a.sock");
        let port = PortPool::default().reserve(1).unwrap();
        let watch = Watch::new(&socket);
        let process = listener(&place, "unix", &socket.to_string_lossy());
        assert_eq!(watch.ready(&process, &socket, port.number()).await.0, Address::Unix(socket));
        process.kill_tree().await;
    }
}

#[tokio::test]
async fn a_port_is_noticed_when_it_accepts() {
    let place = Place::detect();
    let socket = place.path("a.sock");
    let port = PortPool::default().reserve(2).unwrap();
    let watch = Watch::new(&socket);
    let process = listener(&place, "tcp", &port.number().to_string());
    assert_eq!(watch.ready(&process, &socket, port.number()).await.0, Address::Tcp(port.number()));
    process.kill_tree().await;
}

// faults: I3
#[tokio::test]
async fn what_others_listen_on_is_not_taken_for_the_instance() {
    let place = Place::detect();
    let socket = place.path("a.sock");
    let foreign = place.path("foreign.sock");
    let _unix = UnixListener::bind(&foreign).unwrap();
    std::os::unix::fs::symlink(&foreign, &socket).unwrap();
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = tcp.local_addr().unwrap().port();
    let process = place.spawn("exec sleep 1000");
    let watch = Watch::new(&socket);
    // Nothing will come; the bound only ends the test.
    let bound = Duration::from_millis(100);
    assert!(tokio::time::timeout(bound, watch.ready(&process, &socket, port)).await.is_err());
    std::fs::remove_file(&socket).unwrap();
    std::fs::rename(&foreign, &socket).unwrap();
    assert!(tokio::time::timeout(bound, watch.ready(&process, &socket, port)).await.is_err());
    process.kill_tree().await;
}

// faults: G7
#[tokio::test]
async fn a_pipe_outlives_its_reader() {
    let place = Place::detect();
    let path = place.path("out.fifo");
    let fifo = output::fifo(&path).unwrap();
    let mut launch = place.shell("echo one; read line < go; echo two");
    output::fifo(&place.path("go")).unwrap();
    launch.stdout = fifo.writer;
    let process = place.host.spawn(launch).unwrap();
    drop(fifo.reader);
    // Nobody reads now; what was printed, and what is printed next, waits in the pipe.
    let go = output::fifo(&place.path("go")).unwrap();
    rustix::io::write(&go.writer, b"go\n").unwrap();
    assert!(process.exited().await.is_success(), "writing without a reader must not end it");
    process.kill_tree().await;
}
