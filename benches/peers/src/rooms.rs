//! Rooms as a program on tokio has them: a channel per member, and a map of lists of them. One
//! thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// All rooms of the process.
pub struct Rooms<M> {
    rooms: Rc<RefCell<HashMap<String, Room<M>>>>,
}

type Room<M> = Vec<(u64, UnboundedSender<M>)>;

impl<M> Clone for Rooms<M> {
    fn clone(&self) -> Self {
        Self { rooms: Rc::clone(&self.rooms) }
    }
}

impl<M: Clone> Rooms<M> {
    pub fn new() -> Self {
        Self { rooms: Rc::default() }
    }

    /// Enters a room; what is said there comes out of the receiver.
    pub fn enter(&self, room: &str, id: u64) -> UnboundedReceiver<M> {
        let (sender, receiver) = unbounded_channel();
        self.rooms.borrow_mut().entry(room.to_owned()).or_default().push((id, sender));
        receiver
    }

    pub fn leave(&self, room: &str, id: u64) {
        let mut rooms = self.rooms.borrow_mut();
        if let Some(members) = rooms.get_mut(room) {
            members.retain(|(member, _)| *member != id);
            if members.is_empty() {
                rooms.remove(room);
            }
        }
    }

    /// To all members, the sender included.
    pub fn say(&self, room: &str, message: &M) {
        if let Some(members) = self.rooms.borrow().get(room) {
            for (_, sender) in members {
                let _ = sender.send(message.clone());
            }
        }
    }
}

/// Binds, and says where in the words that ringpost uses.
pub async fn listen() -> TcpListener {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let address = address.parse().expect("an address");
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("a socket");
    socket.bind(address).expect("a free port");
    // tokio's own 128 overflows when a thousand connect at once.
    let listener = socket.listen(4_096).expect("a free port");
    println!("listening on http://{}", listener.local_addr().expect("bound"));
    listener
}
