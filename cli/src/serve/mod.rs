//! `shmflow serve`: a page in the browser with all topics, live.
//!
//! Nobody watching costs nothing: topics are looked at when somebody asks ([`sampler`]), and a consumer is open on a topic only as
//! long as viewers wait for its pictures ([`live`], [`encoder`]).

mod access;
mod encoder;
mod listen;
mod live;
mod routes;
mod sampler;
mod shot;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use tokio::sync::watch;

use crate::outcome::{Failure, Outcome};
use access::{Access, Token};
use live::{Live, Settings};
use sampler::Sampler;

/// Show all topics in the browser, with their pictures, live
///
/// A page with the picture of each topic, its rate, lag and losses over time, its
/// participants, and its metadata, with detections drawn. Programs find the same at
/// /api/topics (as `ls --json`), /metrics (for Prometheus), and the pictures at
/// /topics/NAME.jpg and /topics/NAME.mjpg.
///
/// Pictures are made only as fast as somebody looks at them, once for all who do, and with
/// nobody looking topics are left alone. Raw pictures and JPEG are shown; others say why
/// they are not.
///
/// Whoever can connect can look: with the default address all programs and users of this
/// machine, unless there is a token. At any other address there is always one: if none is
/// given it is made, and printed. A browser gives it once, as ?token=; programs send it as
/// `Authorization: Bearer TOKEN`. There is no encryption. Other users see the command line:
/// a token in the environment, as SHMFLOW_TOKEN, they do not.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  shmflow serve                            at http://127.0.0.1:8080/, until Ctrl-C
  shmflow serve --listen 127.0.0.1:0       at a free port, which is printed
  shmflow serve --token                    with a token, against other users of this machine
  shmflow serve --listen 0.0.0.0:8080      for the network, with a token
  curl -o now.jpg http://127.0.0.1:8080/topics/robot/cam0.jpg"
)]
pub(crate) struct Serve {
    /// The address to listen at
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Answer only those who have this token; without a value, one that is made
    #[arg(long, value_name = "TOKEN", num_args = 0..=1, default_missing_value = "")]
    token: Option<String>,
    /// A name under which browsers may ask, besides addresses, localhost and, where others can connect, the machine's name
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Pictures a second of a topic at most
    #[arg(long, default_value = "30", value_parser = clap::value_parser!(u32).range(1..=240))]
    fps: u32,
    /// Quality of the pictures, 1 to 100
    #[arg(long, default_value = "80", value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: u8,
    /// Connections at most; a browser takes up to six
    #[arg(long, value_name = "NUMBER", default_value = "64", value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
}

/// What the answers are made of.
#[derive(Debug)]
struct App {
    sampler: Sampler,
    live: Arc<Live>,
    access: Access,
}

pub(crate) fn run(out: &mut dyn Write, dir: Option<&Path>, args: &Serve) -> Result<Outcome, Failure> {
    let open_to_others = !is_loopback(args.listen.ip());
    // One that is no text is refused as one with wrong characters; without a value, too, one is made.
    let from_environment =
        std::env::var_os("SHMFLOW_TOKEN").map(|token| token.to_string_lossy().into_owned());
    let token = match args.token.as_deref().or(from_environment.as_deref()) {
        Some("") => Some(Token::make()?),
        Some(given) => Some(Token::given(given)?),
        None if open_to_others => Some(Token::make()?),
        None => None,
    };
    let (stop, stopped) = watch::channel(false);
    // Before there is any other thread.
    crate::interrupt::on_signal(move |_| {
        // Nobody listens any more only when it ends already.
        let _ = stop.send(true);
    })?;
    let failed = |error: io::Error| Failure::Other(format!("cannot start: {error}"));
    // Answers take no time to speak of; topics are looked at by a thread of their own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .map_err(failed)?;
    let result: Result<_, Failure> = runtime.block_on(async {
        let listener = listen::bind(args.listen).map_err(|error| cannot_listen(args.listen, &error))?;
        let bound = listener.local_addr().map_err(failed)?;
        tell(out, bound, token.as_ref())?;
        let settings = Settings { fps: args.fps, quality: args.quality };
        let live = Arc::new(Live::new(dir, settings, stopped.clone()));
        let access = Access::new(token, &args.hosts, bound.port(), open_to_others);
        let app = Arc::new(App { sampler: Sampler::new(dir), live: Arc::clone(&live), access });
        listen::serve(listener, routes::of(app), args.connections, stopped).await;
        Ok(live)
    });
    let live = result?;
    live.end();
    // Somebody who still reads an answer is not waited for.
    runtime.shutdown_background();
    Ok(Outcome::Done)
}

/// Also the one that is written as an IPv6 address.
fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> Failure {
    let mut text = format!("cannot listen at {address}: {error}");
    if error.kind() == io::ErrorKind::AddrInUse {
        let any = SocketAddr::new(address.ip(), 0);
        // Writing to a String cannot fail.
        let _ =
            write!(text, "; another program has that port: give another one, or `--listen {any}` for any");
    }
    Failure::Other(text)
}

fn tell(out: &mut dyn Write, bound: SocketAddr, token: Option<&Token>) -> Result<(), Failure> {
    let host = if bound.ip().is_unspecified() {
        format!("{}:{}", access::machine().unwrap_or_else(|| "localhost".into()), bound.port())
    } else {
        bound.to_string()
    };
    let token = token.map_or_else(String::new, |token| format!("?token={}", token.text()));
    writeln!(out, "http://{host}/{token}")?;
    out.flush()?;
    Ok(())
}
