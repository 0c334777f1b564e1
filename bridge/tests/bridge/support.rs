//! Two hosts, and bridges between them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use shmflow::meta::Meta;
use shmflow::{Consumer, Frame, Producer};
use shmflow_bridge::Place;

/// The machine may be busy with other things.
const DEADLINE: Duration = Duration::from_secs(90);

/// Waits for something to be so.
pub(crate) fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A host: a directory of topics.
pub(crate) struct Host(pub(crate) PathBuf);

impl Host {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("shmflow-bridge-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let path = Path::new("/dev/shm").join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn producer(&self, topic: &str) -> Producer {
        Producer::builder(topic).dir(&self.0).name("camera").open().unwrap()
    }

    /// Waits for the topic.
    pub(crate) fn consumer(&self, topic: &str) -> Consumer {
        Consumer::builder(topic).dir(&self.0).name("viewer").connect_timeout(DEADLINE).open().unwrap()
    }

    pub(crate) fn has(&self, topic: &str) -> bool {
        shmflow::inspect(topic, Some(&self.0)).is_ok_and(|info| !info.removed)
    }

    pub(crate) fn wait_for(&self, topic: &str) {
        wait_until(&format!("topic {topic} is there"), || self.has(topic).then_some(()));
    }

    pub(crate) fn wait_until_gone(&self, topic: &str) {
        wait_until(&format!("topic {topic} is gone"), || (!self.has(topic)).then_some(()));
    }

    pub(crate) fn topics(&self) -> Vec<String> {
        shmflow::topics(Some(&self.0)).unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The next frame.
pub(crate) fn next(consumer: &mut Consumer) -> Frame {
    consumer.recv_timeout(DEADLINE).unwrap()
}

/// What the frame came with, without the place that the bridge adds.
pub(crate) fn meta(frame: &Frame) -> Option<Meta> {
    let mut meta = frame.meta().unwrap()?;
    meta.extensions.retain(|one| one.ty != <Place as shmflow::meta::MetaEntry>::TYPE);
    Some(meta)
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A bridge that runs.
pub(crate) struct Bridge {
    child: Child,
    stats: Arc<Mutex<Value>>,
    told: Arc<Mutex<String>>,
}

impl Bridge {
    pub(crate) fn start(host: &Host, args: &[&str]) -> Self {
        Self::start_by(Command::new(env!("CARGO_BIN_EXE_shmflow-bridge")), host, args)
    }

    /// By a command that has the program's name as its last argument.
    pub(crate) fn start_by(mut command: Command, host: &Host, args: &[&str]) -> Self {
        command.args(["--stats", "0.05", "--dir"]).arg(&host.0).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stats, told) = (Arc::new(Mutex::new(Value::Null)), Arc::new(Mutex::new(String::new())));
        let (newest, log) = (Arc::clone(&stats), Arc::clone(&told));
        let out = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                match serde_json::from_str(&line) {
                    Ok(value) => *newest.lock().unwrap() = value,
                    // What Zenoh tells.
                    Err(_) => log.lock().unwrap().push_str(&format!("{line}\n")),
                }
            }
        });
        let (all, err) = (Arc::clone(&told), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                eprintln!("{line}");
                let mut all = all.lock().unwrap();
                all.push_str(&line);
                all.push('\n');
            }
        });
        Self { child, stats, told }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A number of its statistics: `sent` or `received`, the topic, and which; 0 if there is none yet.
    pub(crate) fn count(&self, direction: &str, topic: &str, which: &str) -> u64 {
        self.stats.lock().unwrap()[direction][topic][which].as_u64().unwrap_or(0)
    }

    /// Waits until frames of the topic are wanted here or there, or no more.
    pub(crate) fn wait_until_active(&self, direction: &str, topic: &str, active: bool) {
        wait_until(&format!("{direction} {topic} is active: {active}"), || {
            (self.stats.lock().unwrap()[direction][topic]["active"].as_bool().unwrap_or(false) == active)
                .then_some(())
        });
    }

    /// All that it has told.
    pub(crate) fn told(&self) -> String {
        self.told.lock().unwrap().clone()
    }

    /// The newest statistics are from after this call.
    pub(crate) fn fresh_stats(&self) -> Value {
        *self.stats.lock().unwrap() = Value::Null;
        wait_until("there are statistics", || {
            Some(self.stats.lock().unwrap().clone()).filter(Value::is_object)
        })
    }

    /// As a power failure.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As an administrator.
    pub(crate) fn terminate(mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let status = wait_until("the bridge has ended", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}");
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two hosts whose bridges see each other.
pub(crate) struct Two {
    // Ended before the directories go.
    pub(crate) bridge_a: Option<Bridge>,
    pub(crate) bridge_b: Option<Bridge>,
    pub(crate) a: Host,
    pub(crate) b: Host,
    args_a: Vec<String>,
    args_b: Vec<String>,
}

impl Two {
    /// `a` listens, `b` connects.
    pub(crate) fn new(args_a: &[&str], args_b: &[&str]) -> Self {
        Self::with_port_of_b(args_a, args_b, |port| port)
    }

    /// What `b` connects to may be between them.
    pub(crate) fn with_port_of_b(args_a: &[&str], args_b: &[&str], between: impl Fn(u16) -> u16) -> Self {
        let port = free_port();
        let owned = |first: [String; 2], rest: &[&str]| {
            first.into_iter().chain(rest.iter().map(|arg| (*arg).to_owned())).collect::<Vec<_>>()
        };
        let args_a = owned(["--listen".into(), format!("tcp/127.0.0.1:{port}")], args_a);
        let args_b = owned(["--connect".into(), format!("tcp/127.0.0.1:{}", between(port))], args_b);
        let mut two = Self { bridge_a: None, bridge_b: None, a: Host::new(), b: Host::new(), args_a, args_b };
        two.start_a();
        two.start_b();
        two
    }

    pub(crate) fn start_a(&mut self) {
        self.bridge_a =
            Some(Bridge::start(&self.a, &self.args_a.iter().map(String::as_str).collect::<Vec<_>>()));
    }

    pub(crate) fn start_b(&mut self) {
        self.bridge_b =
            Some(Bridge::start(&self.b, &self.args_b.iter().map(String::as_str).collect::<Vec<_>>()));
    }

    /// Where `a` listens.
    pub(crate) fn endpoint(&self) -> &str {
        &self.args_a[1]
    }

    pub(crate) fn bridge_a(&self) -> &Bridge {
        self.bridge_a.as_ref().unwrap()
    }

    pub(crate) fn bridge_b(&self) -> &Bridge {
        self.bridge_b.as_ref().unwrap()
    }
}

/// Sets a flag when it goes, whatever for.
pub(crate) struct SetOnDrop<'a>(pub(crate) &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// A link that can be cut.
pub(crate) struct Link {
    pub(crate) port: u16,
    is_cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Link {
    pub(crate) fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (is_cut, open) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (cut, connections) = (Arc::clone(&is_cut), Arc::clone(&open));
        std::thread::spawn(move || {
            for here in listener.incoming().map_while(Result::ok) {
                let there = TcpStream::connect(("127.0.0.1", target));
                let mut list = connections.lock().unwrap();
                // Under the lock: one that comes while the link is cut does not outlive that.
                let (Ok(there), false) = (there, cut.load(Relaxed)) else { continue };
                list.extend([here.try_clone().unwrap(), there.try_clone().unwrap()]);
                drop(list);
                for (mut from, mut to) in
                    [(here.try_clone().unwrap(), there.try_clone().unwrap()), (there, here)]
                {
                    std::thread::spawn(move || {
                        let mut buffer = vec![0; 1 << 16];
                        while let Ok(len @ 1..) = from.read(&mut buffer) {
                            if to.write_all(&buffer[..len]).is_err() {
                                break;
                            }
                        }
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { port, is_cut, open }
    }

    pub(crate) fn cut(&self) {
        self.is_cut.store(true, Relaxed);
        for connection in self.open.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn mend(&self) {
        self.is_cut.store(false, Relaxed);
    }
}
