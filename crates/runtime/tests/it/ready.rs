//! When a process accepts, and whose listener it is.

use std::{
    net::{Ipv4Addr, TcpListener},
    os::{
        fd::AsFd,
        unix::net::{UnixListener, UnixStream},
    },
    time::Duration,
};

use tenement_core::slot::{Address, Identity};
use tenement_runtime::{
    output,
    ports::PortPool,
    process::Process,
    readiness::{self, Watch},
    socket,
};

use crate::support::{Place, STRATEGIES};

const LISTEN: &str = "
import os, socket, sys
if sys.argv[1] == 'unix':
    s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[2])
else:
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(('127.0.0.1', int(sys.argv[2])))
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
        assert_eq!(watch.ready(&process, &socket, port.number()).await.address, Address::Unix(socket));
        process.kill_tree().await;
    }
}

#[tokio::test]
async fn a_port_is_noticed_when_it_accepts() {
    let place = Place::detect();
    let socket = place.path("a.sock");
    let port = PortPool::default().reserve(2000).unwrap();
    let watch = Watch::new(&socket);
    let process = listener(&place, "tcp", &port.number().to_string());
    assert_eq!(watch.ready(&process, &socket, port.number()).await.address, Address::Tcp(port.number()));
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

// faults: I3
#[tokio::test]
async fn a_socket_that_is_swapped_later_is_noticed() {
    for strategy in STRATEGIES {
        let Some(place) = Place::new(strategy) else { continue };
        let socket = place.path("a.sock");
        let watch = Watch::new(&socket);
        let process = listener(&place, "unix", &socket.to_string_lossy());
        let accepts = watch.ready(&process, &socket, 1).await;
        let connect = || UnixStream::connect(&socket).unwrap();
        assert!(accepts.listener.is_behind(connect().as_fd()));
        // As the daemon's own: it belongs to this process.
        let foreign = place.path("foreign.sock");
        let _foreign = UnixListener::bind(&foreign).unwrap();
        std::fs::remove_file(&socket).unwrap();
        std::os::unix::fs::symlink(&foreign, &socket).unwrap();
        assert!(!accepts.listener.is_behind(connect().as_fd()));
        process.kill_tree().await;
    }
}

// faults: I3
#[tokio::test]
async fn a_port_that_another_process_took_over_is_noticed() {
    let place = Place::detect();
    // Below what the system gives to whoever connects.
    let port = PortPool::default().reserve(2500).unwrap();
    let number = port.number().to_string();
    let watch = Watch::new(&place.path("a.sock"));
    let process = listener(&place, "tcp", &number);
    let accepts = watch.ready(&process, &place.path("a.sock"), port.number()).await;
    assert!(accepts.listener.is_behind(accepts.connection.as_fd()));
    process.kill_tree().await;
    let other = listener(&place, "tcp", &number);
    let again = Watch::new(&place.path("b.sock")).ready(&other, &place.path("b.sock"), port.number()).await;
    assert!(!accepts.listener.is_behind(again.connection.as_fd()));
    other.kill_tree().await;
}

const TAKE: &str = "
import os, socket
s = socket.socket(fileno=3)
open(os.environ['DATA_DIR'] + '/go').readline()
while True: s.accept()
";

#[tokio::test]
async fn a_socket_that_was_passed_on_counts_when_a_connection_is_taken() {
    let place = Place::detect();
    let path = place.path("a.sock");
    let go = output::fifo(&place.path("go")).unwrap();
    let listening = socket::listen(&path).unwrap();
    let kept = listening.try_clone().unwrap();
    let mut launch = place.launch(&["python3", "-c", TAKE]);
    launch.env.push(("DATA_DIR".into(), place.path("").to_string_lossy().into_owned()));
    launch.listen = Some(listening);
    let process = place.host.spawn(launch).unwrap();
    let mut taken = std::pin::pin!(readiness::taken(&process, &path, kept));
    // Nothing will come; the bound only ends the wait.
    assert!(tokio::time::timeout(Duration::from_millis(50), taken.as_mut()).await.is_err());
    rustix::io::write(&go.writer, b"go\n").unwrap();
    let accepts = taken.await.unwrap();
    assert!(accepts.listener.is_behind(accepts.connection.as_fd()));
    let foreign = place.path("foreign.sock");
    let _foreign = UnixListener::bind(&foreign).unwrap();
    let elsewhere = UnixStream::connect(&foreign).unwrap();
    assert!(
        !accepts.listener.is_behind(elsewhere.as_fd()),
        "the daemon's own sockets are not the instance's"
    );
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
