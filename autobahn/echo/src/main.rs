//! Sends back every message it gets, on the port `PORT` (0 is any). Knows nothing of tenants.

use std::{env, io};

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    accept_async,
    tungstenite::{
        Error,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

async fn echo(stream: TcpStream) -> Result<(), Error> {
    let mut socket = accept_async(stream).await?;
    loop {
        match socket.next().await {
            Some(Ok(message)) if message.is_text() || message.is_binary() => socket.send(message).await?,
            // The library answers pings and close frames by itself.
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                let code = match error {
                    Error::Protocol(_) => CloseCode::Protocol,
                    Error::Utf8(_) => CloseCode::Invalid,
                    Error::Capacity(_) => CloseCode::Size,
                    _ => return Err(error),
                };
                return socket.close(Some(CloseFrame { code, reason: "".into() })).await;
            }
            None => return Ok(()),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let port = env::var("PORT").map_err(io::Error::other)?;
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("ready {}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            if let Err(error) = echo(stream).await {
                println!("a connection ended: {error}");
            }
        });
    }
}
