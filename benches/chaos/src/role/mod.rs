//! The parts in which this program starts itself again.

pub(crate) mod consume;
mod leave;
mod opens;
mod produce;
mod visit;

use crate::Result;
use crate::cli::Role;

pub(crate) fn play(role: &Role) -> Result<()> {
    match role {
        Role::Produce(settings) => produce::run(settings),
        Role::Consume(settings) => consume::run(settings),
        Role::Visit(settings) => visit::run(settings),
        Role::Opens(settings) => opens::run(settings),
        Role::Small(settings) => crate::faults::small::run(settings),
    }
}
