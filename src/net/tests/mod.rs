//! Real sockets on 127.0.0.1, one module per way in which things go wrong.

mod accepting;

mod backpressure;

mod bells;

mod echo;

mod endings;

use super::{Collected, Driver, DriverOptions, Event, ListenOptions, listen};
use crate::base::ids::ConnId;
use glommio::{LocalExecutorBuilder, Placement};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs `work` in an executor on this thread.
fn in_executor<T>(work: impl Future<Output = T>) -> T {
    let builder = LocalExecutorBuilder::new(Placement::Unbound).io_memory(64 << 10);
    builder.make().expect("an executor").run(work)
}

/// A shard of one driver, turned by hand.
struct Rig {
    driver: Driver,
    address: SocketAddr,
    events: Vec<Event>,
}

impl Rig {
    /// A driver that listens on a free port and ticks, so that no wait is for ever.
    fn new(options: DriverOptions) -> Self {
        let mut driver = Driver::new(options).expect("a ring");
        let any = "127.0.0.1:0".parse().expect("an address");
        let listener = listen(any, ListenOptions::default()).expect("a port");
        let address = listener.address();
        driver.accept_on(listener);
        driver.set_timer(20);
        driver.flush();
        Self { driver, address, events: Vec::new() }
    }

    /// One turn: `apply` sees every event but the ticks, then everything is flushed.
    async fn turn(&mut self, mut apply: impl FnMut(&mut Driver, Event)) {
        loop {
            let collected = self.driver.collect(&mut self.events);
            for event in self.events.drain(..) {
                match event {
                    Event::Tick => self.driver.set_timer(20),
                    event => apply(&mut self.driver, event),
                }
            }
            if collected == Collected::All {
                break;
            }
        }
        self.driver.flush();
        if let Some(sleep) = self.driver.prepare_sleep() {
            sleep.wait(100).await;
        }
    }

    /// Turns until `apply` says that it is done.
    #[track_caller]
    fn until(
        &mut self,
        mut apply: impl FnMut(&mut Driver, Event) -> bool,
    ) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let deadline = Instant::now() + PATIENCE;
            let mut done = false;
            while !done {
                self.turn(|driver, event| done |= apply(driver, event)).await;
                assert!(Instant::now() < deadline, "waited in vain at {caller}");
            }
        }
    }

    /// Turns for a while, for things that must not happen.
    async fn idle(&mut self, time: Duration, mut apply: impl FnMut(&mut Driver, Event)) {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            self.turn(&mut apply).await;
        }
    }

    /// A client and the connection it became.
    async fn connect(&mut self) -> (TcpStream, ConnId) {
        let client = TcpStream::connect(self.address).expect("the kernel accepts");
        client.set_nodelay(true).expect("a TCP socket");
        client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut conn = None;
        self.until(|_, event| {
            if let Event::Accepted { conn: id, peer } = event {
                assert_eq!(Some(peer), client.local_addr().ok());
                conn = Some(id);
            }
            conn.is_some()
        })
        .await;
        (client, conn.expect("accepted"))
    }
}

/// The closing event of `conn`.
fn is_closed(event: &Event, conn: ConnId) -> bool {
    matches!(event, Event::Closed { conn: id } if *id == conn)
}
