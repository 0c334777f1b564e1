//! Sends and receives between two processes: `cargo run --example hello`, then the same again in another terminal
//! with `-- recv`, in either order.

#![allow(clippy::print_stdout)]

use shmflow::{Consumer, Producer, Result};

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some("recv") {
        let mut consumer = Consumer::builder("hello").wait_for_topic(None).open()?;
        for frame in &mut consumer {
            println!("{}", String::from_utf8_lossy(&frame?));
        }
        return Ok(());
    }
    let producer = Producer::open("hello")?;
    for i in 1..=10 {
        producer.write(format!("hello {i}").as_bytes())?;
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    producer.end();
    Ok(())
}
