//! Processes that do nothing: they only hold what they opened, or wait for a frame that never comes.

use crate::Res;
use crate::child::Control;
use crate::machine::{cpu_ns, now_ns};
use crate::role::write_frame;
use crate::spec::{Spec, Work};
use crate::transport::{Receiver, Sender, Transport};
use serde_json::json;
use std::time::Duration;

const PERIOD: Duration = Duration::from_nanos(16_666_667);

/// Opens the sender (no receivers asked for) or so many receivers and keeps them until told to go.
pub(super) fn hold<T: Transport>(spec: &Spec, control: &mut Control) -> Res<()> {
    let tx = if spec.receivers == 0 { Some(T::sender(spec)?) } else { None };
    control.ready()?;
    let rx = (0..spec.receivers).map(|_| T::receiver(spec)).collect::<Res<Vec<_>>>()?;
    control.ready()?;
    control.finish(&json!({}))?;
    drop((tx, rx));
    Ok(())
}

/// The same after so many frames, 60 a second, filled whole, have gone from the one to the others.
pub(super) fn hold_used<T: Transport>(spec: &Spec, control: &mut Control) -> Res<()> {
    let mut tx = if spec.receivers == 0 { Some(T::sender(spec)?) } else { None };
    control.ready()?;
    let mut all = (0..spec.receivers).map(|_| T::receiver(spec)).collect::<Res<Vec<_>>>()?;
    control.ready()?;
    let mut seen = 0;
    for number in 0..spec.frames {
        std::thread::sleep(PERIOD);
        if let Some(tx) = &mut tx {
            tx.send(spec.bytes, |frame| write_frame(Work::FillRead, number, frame))?;
        }
        for rx in &mut all {
            while rx.poll(|_| ())? {
                seen += 1;
            }
        }
    }
    control.finish(&json!({ "seen": seen }))?;
    drop((tx, all));
    Ok(())
}

/// Sleeps for a frame that does not come, in `frames` sleeps, and says what that cost.
pub(super) fn idle<T: Transport>(spec: &Spec, control: &mut Control) -> Res<()> {
    control.ready()?;
    let mut rx = T::receiver(spec)?;
    control.ready()?;
    let (from, cpu) = (now_ns(), cpu_ns());
    let waits = spec.frames.max(1);
    let each = Duration::from_millis(spec.millis.checked_div(waits).unwrap_or(0));
    let mut got = false;
    for _ in 0..waits {
        got |= rx.wait(each, |_| ())?;
    }
    let (ns, cpu) = (now_ns().saturating_sub(from), cpu_ns().saturating_sub(cpu));
    if got {
        return Err("a frame came although nobody sent one".into());
    }
    control.finish(&json!({ "ns": ns, "cpu": cpu }))
}
