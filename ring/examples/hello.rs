//! Sends from one process to another: `cargo run --example hello`.
#![allow(clippy::print_stdout)]
use shmflow::{Consumer, Producer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::args().nth(1).as_deref() == Some("receive") {
        for frame in &mut Consumer::open("hello")? {
            println!("{}", String::from_utf8_lossy(&frame?));
        }
        return Ok(());
    }
    let producer = Producer::open("hello")?;
    let mut other = std::process::Command::new(std::env::current_exe()?).arg("receive").spawn()?;
    while producer.consumer_count() == 0 && other.try_wait()?.is_none() {}
    producer.write(b"hello")?;
    producer.write(b"from another process")?;
    producer.end();
    other.wait()?;
    Ok(())
}
