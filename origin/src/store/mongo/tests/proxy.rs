//! A proxy between the adapter and the server, which can fall silent, cut connections and lose responses after a given number
//! of operations.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// The operations of the adapter, as the wire protocol names them.
const OPERATIONS: [&[u8]; 5] = [b"delete", b"find", b"findAndModify", b"insert", b"update"];
const OP_MSG: [u8; 4] = 2013_u32.to_le_bytes();
const MAX_MESSAGE: usize = 64 << 20;

/// The treatment of operations after the given number of passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Flow {
    /// They pass.
    Open,
    /// Their connections break before they reach the server.
    Cut,
    /// The connection of the first one breaks before it reaches the server; the rest pass.
    CutOnce,
    /// The first one reaches the server, and its response is lost with its connection; the rest pass.
    LoseAnswer,
    /// The first one, which must be a query for conversations, finds none, as on a server that does not know yet that it is no
    /// longer primary; the rest pass.
    FindNone,
    /// They wait until the flow changes.
    Held,
    /// Nothing passes in either direction, as if the server was suspended.
    Silent,
}

/// The proxy.
pub(super) struct Proxy {
    /// The address through the proxy.
    pub(super) url: String,
    flow: watch::Sender<Flow>,
    passes: Arc<AtomicU32>,
}

impl Proxy {
    /// Starts a proxy in front of the server at this address.
    pub(super) async fn before(url: &str) -> Self {
        let (head, rest) = url.split_once("://").unwrap();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let (user, hosts) =
            authority.rsplit_once('@').map_or((None, authority), |(user, hosts)| (Some(user), hosts));
        assert_eq!(head, "mongodb", "this case needs a server with an address of its own");
        let server = hosts.split(',').next().unwrap();
        let server = if server.contains(':') { server.to_owned() } else { format!("{server}:27017") };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let user = user.map(|user| format!("{user}@")).unwrap_or_default();
        let tail = if tail.starts_with('/') { tail.to_owned() } else { format!("/{tail}") };
        let separator = if tail.contains('?') { '&' } else { '?' };
        let address = listener.local_addr().unwrap();
        let proxy = Self {
            url: format!("{head}://{user}{address}{tail}{separator}directConnection=true"),
            flow: watch::Sender::new(Flow::Open),
            passes: Arc::default(),
        };
        let (flow, passes) = (proxy.flow.clone(), Arc::clone(&proxy.passes));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&server).await else { continue };
                tokio::spawn(connection(client, server, flow.clone(), Arc::clone(&passes)));
            }
        });
        proxy
    }

    /// Passes so many operations, then treats the next ones by this flow.
    pub(super) fn set(&self, flow: Flow, passes: u32) {
        self.passes.store(passes, Ordering::SeqCst);
        self.flow.send_replace(flow);
    }

    /// Returns the number of operations that still pass.
    pub(super) fn passes_left(&self) -> u32 {
        self.passes.load(Ordering::SeqCst)
    }
}

async fn connection(client: TcpStream, server: TcpStream, flow: watch::Sender<Flow>, passes: Arc<AtomicU32>) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let loses_answer = AtomicBool::new(false);
    // Either direction's end closes both; the reason is ignored.
    tokio::select! {
        _ = requests(from_client, to_server, &flow, &passes, &loses_answer) => {}
        _ = answers(from_server, to_client, &flow, &loses_answer) => {}
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    flow: &watch::Sender<Flow>,
    passes: &AtomicU32,
    loses_answer: &AtomicBool,
) -> io::Result<()> {
    let mut changes = flow.subscribe();
    loop {
        let mut message = message(&mut from).await?;
        let is_operation = is_operation(&message);
        let is_let_through = || {
            let take = |left: u32| left.checked_sub(1);
            !is_operation || passes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok()
        };
        loop {
            let current = *changes.borrow_and_update();
            match current {
                Flow::Open => break,
                Flow::Silent => {}
                _ if is_let_through() => break,
                Flow::Held => {}
                Flow::Cut => return Ok(()),
                Flow::CutOnce => {
                    flow.send_replace(Flow::Open);
                    return Ok(());
                }
                Flow::FindNone => {
                    flow.send_replace(Flow::Open);
                    look_elsewhere(&mut message);
                    break;
                }
                Flow::LoseAnswer => {
                    flow.send_replace(Flow::Open);
                    loses_answer.store(true, Ordering::SeqCst);
                    break;
                }
            }
            changes.changed().await.map_err(io::Error::other)?;
        }
        to.write_all(&message).await?;
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    flow: &watch::Sender<Flow>,
    loses_answer: &AtomicBool,
) -> io::Result<()> {
    let mut changes = flow.subscribe();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 || loses_answer.load(Ordering::SeqCst) {
            return Ok(());
        }
        changes.wait_for(|flow| *flow != Flow::Silent).await.map_err(io::Error::other)?;
        to.write_all(&buffer[..count]).await?;
    }
}

/// Reads a whole message, whose first four bytes are its length.
async fn message(from: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length).await?;
    let size = usize::try_from(u32::from_le_bytes(length)).unwrap();
    assert!((16..=MAX_MESSAGE).contains(&size), "{size}");
    let mut message = vec![0; size];
    message[..4].copy_from_slice(&length);
    from.read_exact(&mut message[4..]).await?;
    Ok(message)
}

/// Turns a query for conversations into one for a collection that does not exist.
fn look_elsewhere(message: &mut [u8]) {
    let name = b"find\0\x0e\0\0\0conversations\0";
    let place = message.windows(name.len()).position(|part| part == name).unwrap();
    message[place + name.len() - 2] = b'x';
}

/// Returns true when a message is one of the adapter's operations: an `OP_MSG` whose document begins with its name.
fn is_operation(message: &[u8]) -> bool {
    const NAME: usize = 16 + 4 + 1 + 4 + 1;
    message.get(12..16) == Some(&OP_MSG)
        && message
            .get(NAME..)
            .and_then(|rest| rest.split(|byte| *byte == 0).next())
            .is_some_and(|name| OPERATIONS.contains(&name))
}
