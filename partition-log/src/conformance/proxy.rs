//! A TCP proxy before a broker: it can be cut, and it can keep to itself what the broker says of writes.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The number of a request that writes, in Kafka's protocol.
const PRODUCE: [u8; 2] = [0, 0];

/// A proxy before the one broker of a test.
#[derive(Debug)]
pub struct Proxy {
    /// Where clients find the broker.
    pub address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Where the broker is; none while nobody is let through.
    broker: Option<String>,
    cut: bool,
    open: Vec<TcpStream>,
    /// Answers to writes to this topic are kept back.
    muted: Option<String>,
    kept_back: u64,
}

/// The numbers of requests of one connection whose answers are to be kept back.
type Muted = Arc<Mutex<HashSet<[u8; 4]>>>;

impl Proxy {
    /// Listens, and lets nobody through yet.
    pub(super) fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let broker = Some(shared.lock().unwrap()).filter(|s| !s.cut).and_then(|s| s.broker.clone());
                if let Some(server) = broker.and_then(|broker| TcpStream::connect(broker).ok()) {
                    connect(&client, &server, &shared);
                }
            }
        });
        Self { address, state }
    }

    pub(super) fn lead_to(&self, broker: &str) {
        self.state.lock().unwrap().broker = Some(broker.to_owned());
    }

    /// Ends every connection and lets no new one through, or lets them through again.
    pub fn cut(&self, cut: bool) {
        let mut state = self.state.lock().unwrap();
        state.cut = cut;
        for stream in state.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Keeps back from now on what the broker, which takes them, answers to writes to a topic.
    pub fn keep_answers(&self, topic: &str) {
        let mut state = self.state.lock().unwrap();
        (state.muted, state.kept_back) = (Some(topic.to_owned()), 0);
    }

    /// How many answers were kept back.
    #[must_use]
    pub fn kept_back(&self) -> u64 {
        self.state.lock().unwrap().kept_back
    }

    /// Ends every connection, so that nobody hears what was kept back, and keeps nothing back any more.
    pub fn forget_answers(&self) {
        self.cut(true);
        self.state.lock().unwrap().muted = None;
        self.cut(false);
    }
}

/// Passes on what either side says.
fn connect(client: &TcpStream, server: &TcpStream, state: &Arc<Mutex<State>>) {
    let both = || (client.try_clone().unwrap(), server.try_clone().unwrap());
    state.lock().unwrap().open.extend(<[_; 2]>::from(both()));
    let ((from_client, to_server), (to_client, from_server)) = (both(), both());
    let noted = Muted::default();
    let (shared, asked) = (Arc::clone(state), Arc::clone(&noted));
    std::thread::spawn(move || {
        carry(from_client, to_server, |request| {
            // Which kind it is, which version, its number.
            let topic = shared.lock().unwrap().muted.clone().filter(|_| request.starts_with(&PRODUCE));
            if let Some(topic) = topic
                && request.windows(topic.len()).any(|part| part == topic.as_bytes())
                && let Some(number) = request.get(4..).and_then(<[u8]>::first_chunk)
            {
                asked.lock().unwrap().insert(*number);
            }
            true
        });
    });
    let shared = Arc::clone(state);
    std::thread::spawn(move || {
        carry(from_server, to_client, |answer| {
            // The number of the request, and what is said to it.
            let number = answer.first_chunk().copied().unwrap_or_default();
            let is_muted = noted.lock().unwrap().remove(&number);
            shared.lock().unwrap().kept_back += u64::from(is_muted);
            !is_muted
        });
    });
}

/// Passes messages on, each a length and so many bytes, as far as they are to pass; until either side ends.
fn carry(mut from: TcpStream, mut to: TcpStream, mut passes: impl FnMut(&[u8]) -> bool) {
    let mut next = || -> io::Result<()> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let mut message = vec![0; u32::from_be_bytes(length) as usize];
        from.read_exact(&mut message)?;
        if passes(&message) {
            to.write_all(&length)?;
            to.write_all(&message)?;
        }
        Ok(())
    };
    while next().is_ok() {}
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
